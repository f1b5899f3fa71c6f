// usage.go asks what a caller has used, and has a node load its policies anew.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// usageAnswer is what the command reads of GET /v1/usage. Amounts keep their
// decimals; null is unlimited, or no reset.
type usageAnswer struct {
	Namespace string       `json:"namespace"`
	Limits    []usageLimit `json:"limits"`
	Source    string       `json:"source"`
	Degraded  bool         `json:"degraded"`
}

type usageLimit struct {
	Name      string       `json:"name"`
	Kind      string       `json:"kind"`
	Unit      string       `json:"unit"`
	Used      json.Number  `json:"used"`
	Limit     *json.Number `json:"limit"`
	Remaining *json.Number `json:"remaining"`
	ResetAt   *int64       `json:"reset_at"`
}

func usageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "usage NAMESPACE ATTRIBUTE=VALUE...", Short: "Show what a caller has used of a policy's limits; exit code 4 if that is from copies",
		Args: cobra.MinimumNArgs(1), Example: "  bucketring usage voicedub user=u1",
		RunE: func(cmd *cobra.Command, args []string) error {
			query, err := callerQuery(args)
			if err != nil {
				return err
			}
			var u usageAnswer
			if _, err := askerOf(cmd).call(cmd.Context(), http.MethodGet, "/v1/usage?"+query.Encode(), nil, &u); err != nil {
				return err
			}
			if err := output(cmd, u, u.text); err != nil || !u.Degraded {
				return err
			}
			return &exit{code: exitDegraded}
		},
	}
	addAddr(cmd)
	addOutput(cmd)
	return cmd
}

// callerQuery is the query of a caller that a command names: NAMESPACE ATTRIBUTE=VALUE...
func callerQuery(args []string) (url.Values, error) {
	query := url.Values{"namespace": {args[0]}}
	for _, arg := range args[1:] {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, usage(fmt.Errorf("%q is not ATTRIBUTE=VALUE, such as user=u1", arg))
		}
		query.Set(name, value)
	}
	return query, nil
}

func (u *usageAnswer) text() string {
	cells := [][]string{{"LIMIT", "KIND", "USED", "OF", "REMAINING", "UNIT", "RESET"}}
	for _, l := range u.Limits {
		reset := "-"
		if l.ResetAt != nil {
			reset = time.Unix(*l.ResetAt, 0).UTC().Format(time.RFC3339)
		}
		cells = append(cells, []string{l.Name, l.Kind, l.Used.String(), orUnlimited(l.Limit), orUnlimited(l.Remaining), l.Unit, reset})
	}
	if u.Degraded {
		return columns(cells) + fmt.Sprintf("degraded: %s, the owner is away, which may have counted more\n", u.Source)
	}
	return columns(cells)
}

func orUnlimited(n *json.Number) string {
	if n == nil {
		return "unlimited"
	}
	return n.String()
}

func reloadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "reload", Short: "Have a node read its policies and keys anew", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var loaded struct {
				Policies []struct {
					Namespace string `json:"namespace"`
					File      string `json:"file"`
					Hash      string `json:"hash"`
				} `json:"policies"`
			}
			if _, err := adminAsker(cmd).call(cmd.Context(), http.MethodPost, "/v1/admin/reload", nil, &loaded); err != nil {
				return err
			}
			return output(cmd, loaded, func() string {
				cells := [][]string{{"NAMESPACE", "HASH", "FILE"}}
				for _, p := range loaded.Policies {
					cells = append(cells, []string{p.Namespace, p.Hash, p.File})
				}
				return columns(cells)
			})
		},
	}
	addAdminAddr(cmd)
	addOutput(cmd)
	return cmd
}
