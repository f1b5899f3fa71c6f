// keyring.go makes the file with the cluster's secrets, and changes its gossip keys.

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/internal/access"
	"github.com/bucketring/bucketring/node/member"
)

// initKeyring writes a new key file and never replaces one.
func initKeyring(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: nodes that lose their secret lose each other, so it is kept", name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(member.NewKeys())
	return errors.Join(err, f.Sync(), f.Close())
}

// A keyFileMade says what init did.
type keyFileMade struct {
	File    string `json:"file"`
	Written bool   `json:"written"` // or it was there, and kept
}

func keyringCommand() *cobra.Command {
	return group("keyring", "Make the file with the cluster's secrets, and rotate its gossip keys",
		keyringInitCommand(), keyringListCommand(),
		keyringStepCommand(step{
			use: "add FILE", short: "Add a new gossip key, with which nodes can decrypt from then on",
			change: func(f *member.KeyFile, _ string) error { return f.Add() },
			next:   "Then encrypt with it: bucketring keyring use %[1]s %[2]s",
		}),
		keyringStepCommand(step{
			use: "use FILE KEY", short: "Have nodes encrypt with another gossip key, by number or fingerprint",
			change: (*member.KeyFile).Use,
			next:   "Then drop the old one: bucketring keyring remove %[1]s %[2]s",
		}),
		keyringStepCommand(step{
			use: "remove FILE KEY", short: "Drop a gossip key that does not encrypt, by number or fingerprint",
			change: (*member.KeyFile).Remove,
		}),
	)
}

func keyringInitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "init FILE", Short: "Make a new key file, readable by its owner only", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep, _ := cmd.Flags().GetBool("keep"); keep {
				if _, err := member.ReadKeys(args[0]); err == nil {
					return output(cmd, keyFileMade{args[0], false}, func() string { return "" })
				}
			}
			if err := initKeyring(args[0]); err != nil {
				return asExit(err)
			}
			return output(cmd, keyFileMade{args[0], true}, func() string {
				return fmt.Sprintf("%s written: copy it to every node and start each with --key-file %s\n", args[0], args[0])
			})
		},
	}
	addOutput(cmd)
	cmd.Flags().Bool("keep", false, "succeed if the file exists and is good")
	return cmd
}

// A step is one of those of a rotation.
type step struct {
	use, short string
	change     func(f *member.KeyFile, which string) error
	next       string // what to do then, with the file and the fingerprint of the last key; empty for nothing
}

func keyringStepCommand(s step) *cobra.Command {
	cmd := &cobra.Command{
		Use: s.use, Short: s.short, Args: cobra.ExactArgs(strings.Count(s.use, " ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, which := args[0], args[len(args)-1]
			f, err := editKeyring(name, func(f *member.KeyFile) error { return s.change(f, which) })
			if err != nil {
				return asExit(err)
			}
			keys := f.Keys()
			r := keyringOf(&keys)
			return output(cmd, r, func() string { return r.text() + s.then(name, keys.Prints()) })
		},
	}
	addOutput(cmd)
	return cmd
}

// then says what to do after a step.
func (s *step) then(name string, prints []string) string {
	text := fmt.Sprintf("Copy %s to every node; each takes it in by itself, or at once with: bucketring reload\n", name)
	if s.next == "" {
		return text
	}
	text += fmt.Sprintf("Go on when all have: bucketring keyring list %s --addr NODE\n", name)
	return text + fmt.Sprintf(s.next+"\n", name, prints[len(prints)-1])
}

// editKeyring changes a key file.
func editKeyring(name string, change func(*member.KeyFile) error) (f *member.KeyFile, err error) {
	if _, err := member.ReadKeys(name); err != nil {
		return nil, err
	}
	err = access.Replace(name, func() ([]byte, error) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if f, err = member.EditKeys(name, string(text)); err != nil {
			return nil, err
		}
		if err := change(f); err != nil {
			return nil, err
		}
		return []byte(f.Text()), nil
	})
	return f, err
}

// A keyring is a key file as people see it: never its keys.
type keyring struct {
	Keys  []keyringKey  `json:"keys"`
	Print string        `json:"fingerprint"` // of all keys in their order, as members shows it
	Nodes *keyringNodes `json:"nodes,omitempty"`
}

type keyringKey struct {
	Print   string `json:"fingerprint"`
	Primary bool   `json:"primary"`
}

// keyringNodes are the active members that have taken the file in, and those that have not.
type keyringNodes struct {
	With    []string `json:"with"`
	Without []string `json:"without"`
}

func keyringOf(keys *member.Keys) *keyring {
	r := &keyring{Print: keys.Print()}
	for i, print := range keys.Prints() {
		r.Keys = append(r.Keys, keyringKey{print, i == 0})
	}
	return r
}

func (r *keyring) text() string {
	cells := [][]string{{"KEY", "FINGERPRINT", "USE"}}
	for i, key := range r.Keys {
		use := "decrypts"
		if key.Primary {
			use = "encrypts and decrypts"
		}
		cells = append(cells, []string{strconv.Itoa(i + 1), key.Print, use})
	}
	text := columns(cells) + "all keys together: " + r.Print + "\n"
	if n := r.Nodes; n != nil {
		text += fmt.Sprintf("%d of %d nodes have these", len(n.With), len(n.With)+len(n.Without))
		if len(n.Without) > 0 {
			text += "; others, or a version that does not tell: " + strings.Join(n.Without, ", ")
		}
		text += "\n"
	}
	return text
}

func keyringListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list FILE", Short: "Show the fingerprints of the gossip keys; with --addr exit code 4 unless all nodes have them",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := member.ReadKeys(args[0])
			if err != nil {
				return asExit(err)
			}
			r := keyringOf(&keys)
			if cmd.Flags().Changed("addr") {
				var m membersAnswer
				if _, err := askerOf(cmd).call(cmd.Context(), http.MethodGet, "/v1/members", nil, &m); err != nil {
					return err
				}
				r.Nodes = m.having(r.Print)
			}
			if err := output(cmd, r, r.text); err != nil {
				return err
			}
			if r.Nodes != nil && len(r.Nodes.Without) > 0 {
				return &exit{code: exitDegraded}
			}
			return nil
		},
	}
	addAddr(cmd)
	addOutput(cmd)
	return cmd
}

// having sorts the nodes that are here by whether their gossip keys are those of a file.
func (m *membersAnswer) having(print string) *keyringNodes {
	n := &keyringNodes{With: []string{}, Without: []string{}}
	for _, one := range m.Members {
		switch {
		case one.State == "dead" || one.State == "left":
		case one.GossipKeys == print:
			n.With = append(n.With, one.Name)
		default:
			n.Without = append(n.Without, one.Name)
		}
	}
	return n
}
