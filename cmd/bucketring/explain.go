// explain.go shows where a key is decided, or the limits of a caller.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// explainAnswer is what the command reads of GET /v1/explain about a key.
type explainAnswer struct {
	Key         string    `json:"key"`
	Partition   int       `json:"partition"`
	Owner       string    `json:"owner"`
	Replica     string    `json:"replica"`
	Node        string    `json:"node"`
	RingVersion uint64    `json:"ring_version"`
	Decision    *decision `json:"decision,omitempty"`
}

// callerAnswer is what it reads of that about a caller.
type callerAnswer struct {
	Namespace   string          `json:"namespace"`
	Places      []placeAnswer   `json:"places"`
	Node        string          `json:"node"`
	RingVersion uint64          `json:"ring_version"`
	Decision    callersDecision `json:"decision"`
}

type placeAnswer struct {
	Limits    []string `json:"limits"`
	Partition *int     `json:"partition"` // null where each node counts for itself
	Owner     string   `json:"owner"`
	Replica   string   `json:"replica"`
}

// A callersDecision keeps the decimals of amounts.
type callersDecision struct {
	Allowed  bool   `json:"allowed"`
	Policy   string `json:"policy"`
	Source   string `json:"source"`
	Degraded bool   `json:"degraded"`
	Limits   []struct {
		Name      string       `json:"name"`
		Allowed   bool         `json:"allowed"`
		Limit     *json.Number `json:"limit"`
		Remaining *json.Number `json:"remaining"`
	} `json:"limits"`
}

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain {KEY | NAMESPACE ATTRIBUTE=VALUE...}",
		Short: "Show where a key is decided, and its state if --limit is given; or which limits a caller meets, where, and their state",
		Args:  cobra.MinimumNArgs(1), Example: "  bucketring explain alice --limit 3/m\n  bucketring explain voicedub user=u1 method=POST",
		RunE: func(cmd *cobra.Command, args []string) error {
			limit, _ := cmd.Flags().GetString("limit")
			if len(args) == 1 {
				query := url.Values{"key": {args[0]}}
				if limit != "" {
					query.Set("limit", limit)
				}
				return explain(cmd, query, new(explainAnswer))
			}
			query, err := callerQuery(args)
			if err != nil {
				return err
			}
			if limit != "" {
				return usage(fmt.Errorf("--limit is for a key: the limits of a caller are those of the policy %s", args[0]))
			}
			return explain(cmd, query, new(callerAnswer))
		},
	}
	cmd.Flags().String("limit", "", "limit whose state to show, such as 3/m")
	addAddr(cmd)
	addOutput(cmd)
	return cmd
}

// explain asks, and prints the answer as it was given room for.
func explain(cmd *cobra.Command, query url.Values, answer interface{ text() string }) error {
	if _, err := askerOf(cmd).call(cmd.Context(), http.MethodGet, "/v1/explain?"+query.Encode(), nil, answer); err != nil {
		return err
	}
	return output(cmd, answer, answer.text)
}

func (e *explainAnswer) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "partition %d   owner %s", e.Partition, e.Owner)
	if e.Replica != "" {
		fmt.Fprintf(&b, "   next %s", e.Replica)
	}
	fmt.Fprintf(&b, "   ring %d as %s sees it\n", e.RingVersion, e.Node)
	if e.Decision != nil {
		for _, l := range e.Decision.Limits {
			fmt.Fprintf(&b, "%s   limit %d   remaining %d\n", l.Name, l.Limit, l.Remaining)
		}
	}
	return b.String()
}

func (c *callerAnswer) text() string {
	cells := [][]string{{"LIMIT", "OF", "REMAINING", "PARTITION", "OWNER", "NEXT"}}
	for _, l := range c.Decision.Limits {
		row := []string{l.Name, orUnlimited(l.Limit), orUnlimited(l.Remaining)}
		i := slices.IndexFunc(c.Places, func(p placeAnswer) bool { return slices.Contains(p.Limits, l.Name) })
		switch {
		case i < 0: // it compares, and counts nothing
			row = append(row, "-", "-", "-")
		case c.Places[i].Partition == nil:
			row = append(row, "-", "each node", "-")
		default:
			row = append(row, strconv.Itoa(*c.Places[i].Partition), dash(c.Places[i].Owner), dash(c.Places[i].Replica))
		}
		cells = append(cells, row)
	}
	text := columns(cells) + fmt.Sprintf("ring %d as %s sees it, state from: %s\n", c.RingVersion, c.Node, c.Decision.Source)
	if !c.Decision.Allowed {
		text += fmt.Sprintf("denied by %s\n", c.Decision.Policy)
	}
	return text
}
