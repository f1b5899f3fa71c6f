// look.go shows the cluster: members and ring.

package main

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// membersAnswer and its kin are what the commands read of the HTTP answers.
type membersAnswer struct {
	Node        string            `json:"node"`
	RingVersion uint64            `json:"ring_version"`
	Listeners   map[string]string `json:"listeners"`
	Members     []memberAnswer    `json:"members"`
}

type memberAnswer struct {
	Name   string `json:"name"`
	State  string `json:"state"`
	Gossip string `json:"gossip"`
	Peer   string `json:"peer"`
	Zone   string `json:"zone"`
	// Version is empty for a node that does not tell.
	Version string  `json:"version"`
	Owned   int     `json:"owned"`
	Share   float64 `json:"share"`
	Self    bool    `json:"self"`
	Since   string  `json:"since"`
	// PolicyHash identifies the policies in force there.
	PolicyHash string `json:"policy_hash"`
	// GossipKey is the fingerprint of the key that encrypts there, GossipKeys that of all.
	GossipKey  string `json:"gossip_key"`
	GossipKeys string `json:"gossip_keys"`
	// Ring says whether it has the answering node's ring: agrees, differs or unknown.
	Ring string `json:"ring"`
}

func membersCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "members", Short: "List the nodes; exit code 4 if one is dead", Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var m membersAnswer
			if _, err := askerOf(cmd).call(cmd.Context(), http.MethodGet, "/v1/members", nil, &m); err != nil {
				return err
			}
			if err := output(cmd, m, m.text); err != nil {
				return err
			}
			for _, one := range m.Members {
				if one.State == "dead" {
					return &exit{code: exitDegraded}
				}
			}
			return nil
		},
	}
	cmd.AddCommand(forgetCommand())
	addAddr(cmd)
	addOutput(cmd)
	return cmd
}

func (m *membersAnswer) text() string {
	cells := [][]string{{"NAME", "STATE", "VERSION", "ZONE", "OWNED", "GOSSIP", "PEER"}}
	for _, one := range m.Members {
		name := one.Name
		if one.Self {
			name += " *"
		}
		cells = append(cells, []string{
			name, one.State, dash(one.Version), dash(one.Zone), percent(one.Share), dash(one.Gossip), dash(one.Peer),
		})
	}
	return columns(cells) + fmt.Sprintf("ring %d as %s sees it, %s\n", m.RingVersion, m.Node, m.agreement()) + m.disagreement() + m.gossipKeys()
}

// dash stands for what is not known, so that columns can be counted.
func dash(s string) string { return cmp.Or(s, "-") }

// agreement says whether the active members have one ring.
func (m *membersAnswer) agreement() string {
	of := map[string][]string{}
	for _, one := range m.Members {
		if one.State == "active" {
			of[one.Ring] = append(of[one.Ring], one.Name)
		}
	}
	switch {
	case of["differs"] != nil:
		return "another ring at: " + strings.Join(of["differs"], ", ")
	case of["unknown"] != nil:
		return "not heard yet from: " + strings.Join(of["unknown"], ", ")
	}
	return "all nodes agree"
}

// disagreement names the active members whose policies differ from the answering
// node's.
func (m *membersAnswer) disagreement() string {
	own, others := "", []string(nil)
	for _, one := range m.Members {
		if one.Self {
			own = one.PolicyHash
		}
	}
	for _, one := range m.Members {
		if one.State == "active" && one.PolicyHash != own {
			others = append(others, one.Name)
		}
	}
	if others == nil {
		return ""
	}
	return fmt.Sprintf("other policies than %s: %s\n", m.Node, strings.Join(others, ", "))
}

// gossipKeys tells of the answering node's gossip keys, if it has any, and names the members
// that have others.
func (m *membersAnswer) gossipKeys() string {
	var own memberAnswer
	for _, one := range m.Members {
		if one.Self {
			own = one
		}
	}
	if own.GossipKeys == "" {
		return ""
	}
	text := fmt.Sprintf("gossip key %s of %s\n", own.GossipKey, own.GossipKeys)
	if others := m.having(own.GossipKeys).Without; len(others) > 0 {
		text += fmt.Sprintf("other gossip keys than %s, or a version that does not tell: %s\n", m.Node, strings.Join(others, ", "))
	}
	return text
}

func percent(share float64) string { return strconv.FormatFloat(100*share, 'f', 1, 64) + " %" }

type ringAnswer struct {
	Node        string `json:"node"`
	Version     uint64 `json:"version"`
	Fingerprint string `json:"fingerprint"`
	Partitions  int    `json:"partitions"`
	Members     []struct {
		Name  string  `json:"name"`
		Owned int     `json:"owned"`
		Share float64 `json:"share"`
	} `json:"members"`
	Owners []string `json:"owners,omitempty"`
}

func ringCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ring", Short: "Show how many partitions each node owns", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if watch, _ := cmd.Flags().GetBool("watch"); watch {
				return watchRing(cmd, eachSecond)
			}
			path := "/v1/ring"
			if owners, _ := cmd.Flags().GetBool("owners"); owners {
				path += "?owners=1"
			}
			var r ringAnswer
			if _, err := askerOf(cmd).call(cmd.Context(), http.MethodGet, path, nil, &r); err != nil {
				return err
			}
			return output(cmd, r, r.text)
		},
	}
	cmd.Flags().Bool("owners", false, "also list the owner of every partition")
	cmd.Flags().Bool("watch", false, "go on and print what changes, with -o json an object a line, until interrupted")
	addAddr(cmd)
	addOutput(cmd)
	return cmd
}

func (r *ringAnswer) text() string {
	cells := [][]string{{"NAME", "PARTITIONS", "SHARE"}}
	for _, m := range r.Members {
		cells = append(cells, []string{m.Name, strconv.Itoa(m.Owned), percent(m.Share)})
	}
	var text strings.Builder
	text.WriteString(columns(cells))
	fmt.Fprintf(&text, "ring %d, fingerprint %s, as %s sees it\n", r.Version, r.Fingerprint, r.Node)
	for p, owner := range r.Owners {
		fmt.Fprintf(&text, "%d %s\n", p, owner)
	}
	return text.String()
}
