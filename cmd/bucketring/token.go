// token.go makes the tokens by which callers prove who they are.

package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
)

func tokenCommand() *cobra.Command {
	return group("token", "Make and remove the tokens by which callers prove who they are",
		tokenAddCommand(), tokenListCommand(), tokenRemoveCommand())
}

func tokenAddCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "add FILE ID", Short: "Add a token to a file, and print it once", Args: cobra.ExactArgs(2),
		Example: "  bucketring token add tokens.yaml shop --scope take --namespace api --expires 90d\n" +
			"  bucketring token add tokens.yaml prometheus --scope read",
		RunE: func(cmd *cobra.Command, args []string) error {
			g, err := grantOf(cmd, args[1])
			if err != nil {
				return usage(err)
			}
			token, err := access.Add(args[0], g)
			if err != nil {
				return asExit(err)
			}
			made := struct {
				ID    string `json:"id"`
				Token string `json:"token"`
			}{g.ID, token}
			// The token is all there is on standard output, so that it can go into a file.
			fmt.Fprintf(cmd.ErrOrStderr(), "token %s is in %s; it is shown this once:\n", g.ID, args[0])
			return output(cmd, made, func() string { return token + "\n" })
		},
	}
	cmd.Flags().StringSlice("scope", nil, "what it may do, comma separated: "+strings.Join(bucketring.ScopeNames(), ", "))
	cmd.Flags().StringSlice("namespace", nil, "namespaces that it is for, comma separated (default all, and calls without one)")
	cmd.Flags().String("expires", "", "when it ends: 90d, 12h, or a time such as 2030-01-31T00:00:00Z (default never)")
	addOutput(cmd)
	return cmd
}

// grantOf reads what a new token shall be good for.
func grantOf(cmd *cobra.Command, id string) (access.Grant, error) {
	g := access.Grant{ID: id}
	names, _ := cmd.Flags().GetStringSlice("scope")
	for _, name := range names {
		scope, err := bucketring.ParseScope(name)
		if err != nil {
			return g, fmt.Errorf("--scope: %w", err)
		}
		g.Scopes |= scope
	}
	if g.Scopes == 0 {
		return g, fmt.Errorf("--scope is missing: say what the token may do, some of %s", strings.Join(bucketring.ScopeNames(), ", "))
	}
	g.Namespaces, _ = cmd.Flags().GetStringSlice("namespace")
	if len(g.Namespaces) == 0 {
		g.Namespaces = nil
	}
	text, _ := cmd.Flags().GetString("expires")
	var err error
	g.Expires, err = parseExpiry(text, time.Now())
	return g, err
}

// parseExpiry reads when a token ends. Nothing is never.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil && n > 0 {
			return now.AddDate(0, 0, int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(d), nil
	}
	return time.Time{}, fmt.Errorf("--expires: %q is none of 90d, 12h and a time such as 2030-01-31T00:00:00Z", text)
}

func tokenListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list FILE", Short: "List the tokens of a file: their ids, never the tokens", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all, err := access.List(args[0])
			if err != nil {
				return usage(err)
			}
			rows := tokenRows(all, time.Now())
			return output(cmd, rows, func() string { return tokenTable(rows) })
		},
	}
	addOutput(cmd)
	return cmd
}

// tokenTable shows tokens to people.
func tokenTable(rows []tokenRow) string {
	cells := [][]string{{"ID", "SCOPES", "NAMESPACES", "EXPIRES"}}
	for _, r := range rows {
		cells = append(cells, []string{r.ID, strings.Join(r.Scopes, ","), cmp.Or(strings.Join(r.Namespaces, ","), "all"), cmp.Or(r.Expires, "never")})
	}
	return columns(cells)
}

// A tokenRow is a token as people see it.
type tokenRow struct {
	ID         string   `json:"id"`
	Scopes     []string `json:"scopes"`
	Namespaces []string `json:"namespaces,omitempty"`
	Expires    string   `json:"expires,omitempty"`
}

func tokenRows(all []*access.Grant, now time.Time) []tokenRow {
	rows := make([]tokenRow, len(all))
	for i, g := range all {
		rows[i] = tokenRow{ID: g.ID, Scopes: g.Scopes.Names(), Namespaces: g.Namespaces}
		if g.Expires.IsZero() {
			continue
		}
		rows[i].Expires = g.Expires.UTC().Format(time.RFC3339)
		if !now.Before(g.Expires) {
			rows[i].Expires += " (expired)"
		}
	}
	return rows
}

func tokenRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "remove FILE ID", Short: "Take a token out of a file: it ends within seconds", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := access.Remove(args[0], args[1]); err != nil {
				return asExit(err)
			}
			type removed struct {
				File string `json:"file"`
				ID   string `json:"id"`
			}
			return output(cmd, removed{args[0], args[1]}, func() string {
				return fmt.Sprintf("token %s is removed: nodes that watch %s refuse it within seconds\n", args[1], args[0])
			})
		},
	}
	addOutput(cmd)
	return cmd
}
