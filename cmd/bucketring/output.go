// output.go prints answers as text for people or as JSON for programs.

package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// addOutput gives a command the flag -o.
func addOutput(cmd *cobra.Command) {
	cmd.Flags().StringP("output", "o", "text", "print text or json")
}

// wantsJSON reads -o; the error is one of usage.
func wantsJSON(cmd *cobra.Command) (bool, error) {
	switch format, _ := cmd.Flags().GetString("output"); format {
	case "json":
		return true, nil
	case "text":
		return false, nil
	default:
		return false, usage(fmt.Errorf("unknown output %q: use text or json", format))
	}
}

// output prints value as JSON or text(), as -o says.
func output(cmd *cobra.Command, value any, text func() string) error {
	asJSON, err := wantsJSON(cmd)
	if err != nil {
		return err
	}
	if !asJSON {
		_, err = fmt.Fprint(cmd.OutOrStdout(), text())
		return asExit(err)
	}
	encoder := json.NewEncoder(cmd.OutOrStdout())
	encoder.SetIndent("", "  ")
	return asExit(encoder.Encode(value))
}

// columns lines cells up, the first row being the head.
func columns(cells [][]string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range cells {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	return text.String()
}
