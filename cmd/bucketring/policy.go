// policy.go checks and tests policy files without a node.

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/internal/policytest"
	"github.com/bucketring/bucketring/policy"
)

func policyCommand() *cobra.Command {
	return group("policy", "Check and test policy files", policyCheckCommand(), policyTestCommand(), policySchemaCommand())
}

// A finding is one problem of a file, as policy check prints it.
type finding struct {
	File    string `json:"file"`
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Excerpt string `json:"excerpt,omitempty"`
}

func policyCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check FILE...", Short: "Print every error of policy files or folders; exit code 2 if there are any",
		Args: cobra.MinimumNArgs(1), Example: "  bucketring policy check policies/",
		RunE: func(cmd *cobra.Command, args []string) error {
			merge, _ := cmd.Flags().GetBool("envoy-merge-domains")
			found, text, where := []finding{}, strings.Builder{}, map[string]string{}
			for _, path := range args {
				set, err := policy.Load(path, policyOptions(merge))
				var problems policy.Errors
				if err != nil && !errors.As(err, &problems) {
					return usage(err)
				}
				for _, p := range problems {
					found = append(found, finding{p.File, p.Line, p.Column, p.Text, p.Excerpt})
					fmt.Fprintln(&text, p.Error())
					if p.Excerpt != "" {
						fmt.Fprintf(&text, "    %s\n", strings.TrimSpace(p.Excerpt))
					}
				}
				if len(problems) == 0 && len(set.Policies()) == 0 {
					found = append(found, finding{File: path, Message: "no policy is here"})
					fmt.Fprintf(&text, "%s: no policy is here: name a file, or a folder with .yaml files\n", path)
				}
				for _, p := range set.Policies() {
					if other, ok := where[p.Namespace()]; ok && other != p.File() && !(merge && p.Domain() != nil) {
						found = append(found, finding{File: p.File(), Message: "namespace " + p.Namespace() + " is in " + other + " already"})
						fmt.Fprintf(&text, "%s: namespace %s is in %s already: keep one of them\n", p.File(), p.Namespace(), other)
						continue
					}
					where[p.Namespace()] = p.File()
					fmt.Fprintf(&text, "%s: ok, namespace %s\n", p.File(), p.Namespace())
					for _, note := range p.Notes() {
						fmt.Fprintf(&text, "%s (note)\n", note.Error())
					}
				}
			}
			if err := output(cmd, found, text.String); err != nil {
				return err
			}
			if len(found) > 0 {
				return &exit{code: exitUsage}
			}
			return nil
		},
	}
	cmd.Flags().Bool("envoy-merge-domains", false, "let several files in Envoy's dialect make one domain")
	addOutput(cmd)
	return cmd
}

func policyTestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "test FILE...", Short: "Run policy test scripts on a virtual clock; exit code 1 if one fails",
		Args: cobra.MinimumNArgs(1), Example: "  bucketring policy test vectors/voicedub.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			reports, text, failed := []policytest.Report{}, strings.Builder{}, false
			for _, file := range args {
				report, err := policytest.Run(file, policytest.Options{Env: os.LookupEnv})
				if err != nil {
					return usage(err)
				}
				reports = append(reports, report)
				text.WriteString(report.Text())
				failed = failed || report.Failed() > 0
			}
			if err := output(cmd, reports, text.String); err != nil {
				return err
			}
			if failed {
				return &exit{code: exitError}
			}
			return nil
		},
	}
	addOutput(cmd)
	return cmd
}

func policySchemaCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of policy files, for editors", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := cmd.OutOrStdout().Write(policy.Schema())
			return asExit(err)
		},
	}
	addOutput(cmd)
	return cmd
}
