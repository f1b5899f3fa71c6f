// check.go reads all that serve would read before it starts, and says what is wrong with it.

package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/node/member"
	"github.com/bucketring/bucketring/policy"
)

func configCheckCommand() *cobra.Command {
	table := settings(false)
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration of serve, and show what it opens to whom", Args: cobra.NoArgs,
		Long: `Reads the settings that serve would read, and the files that they name: secrets,
tokens, certificates, policies. Exit code 2 with every error and what to do about
it, or 0 with the listeners, who gets in, the policies, and what is risky about it.
Nothing is opened and nothing is changed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, wrong := readConfig(cmd, table)
			files, err := readFiles(cmd, cfg)
			if err := errors.Join(wrong, err); err != nil {
				return usage(err)
			}
			v := postureOf(cfg, files, time.Now())
			return output(cmd, v, v.text)
		},
	}
	addFlags(cmd.Flags(), table)
	addOutput(cmd)
	return cmd
}

// files are what the files of a configuration hold.
type files struct {
	proofs   *proofs
	policies *policy.Set
}

// readFiles reads what serve would. All errors come at once.
func readFiles(cmd *cobra.Command, cfg *config) (f files, err error) {
	var problems []error
	failed := func(err error) {
		if err != nil {
			problems = append(problems, err)
		}
	}
	var keys member.Keys
	if cfg.KeyFile != "" {
		keys, err = member.ReadKeys(cfg.KeyFile)
		failed(err)
	}
	// One after the other, so that an error of the first hides none of the second.
	tokens, pair, log := *cfg, *cfg, newLogger(cmd.ErrOrStderr(), cfg)
	tokens.TLS, pair.TokensFile = tlsConfig{}, ""
	if err != nil { // nothing is proved without the keys, which is said once
		tokens.PeerTLS, pair.PeerTLS = tlsConfig{}, tlsConfig{}
	}
	f.proofs, err = openProofs(&tokens, &keys, log)
	failed(err)
	certificate, err := openProofs(&pair, &keys, log)
	if failed(err); len(problems) == 0 {
		f.proofs.pair = certificate.pair
	}
	failed(checkExposure(cfg))
	f.policies = new(policy.Set)
	if cfg.Policies != "" {
		if f.policies, err = policy.Load(cfg.Policies, servedOptions(cfg.MergeDomains)); err != nil {
			failed(fmt.Errorf("policies: %w", err))
		}
	}
	if cfg.DataDir != "" {
		failed(checkFolder(cfg.DataDir))
	}
	return f, errors.Join(problems...)
}

// checkFolder refuses what serve could not make a folder of, or write to, as far as one can see
// without trying.
func checkFolder(name string) error {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil // serve makes it
	case err != nil:
		return fmt.Errorf("data-dir: %w", err)
	case !info.IsDir():
		return fmt.Errorf("data-dir: %s is no folder: name one, or one that is still to be made", name)
	}
	return nil
}

// A policyFound is a policy that serve would load.
type policyFound struct {
	Namespace string   `json:"namespace"`
	File      string   `json:"file"`
	Notes     []string `json:"notes"` // what has no effect
}

func policiesIn(set *policy.Set) []policyFound {
	all := []policyFound{}
	for _, p := range set.Policies() {
		one := policyFound{p.Namespace(), p.File(), []string{}}
		for _, n := range p.Notes() {
			one.Notes = append(one.Notes, n.Error())
		}
		all = append(all, one)
	}
	return all
}

func policyTable(all []policyFound) string {
	cells := [][]string{{"POLICY", "FILE"}}
	for _, p := range all {
		cells = append(cells, []string{p.Namespace, p.File})
		for _, note := range p.Notes {
			cells = append(cells, []string{"", note})
		}
	}
	return columns(cells)
}
