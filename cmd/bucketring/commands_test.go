package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// leaves are the commands that do something, by their words.
func leaves(cmd *cobra.Command, words string, all map[string]*cobra.Command) map[string]*cobra.Command {
	for _, c := range cmd.Commands() {
		name := strings.TrimSpace(words + " " + c.Name())
		if c.Args == nil || !c.HasSubCommands() || c.Flags().Lookup("output") != nil {
			all[name] = c
		}
		leaves(c, name, all)
	}
	return all
}

// Users, scripts and other programs rely on these.
func TestCommandsThatThereAre(t *testing.T) {
	all := leaves(newRoot(), "", map[string]*cobra.Command{})
	for _, name := range []string{
		"demo", "dev", "serve", "take", "peek", "refund", "reset", "usage", "members", "ring", "explain", "policy check", "policy test",
		"policy schema", "config check", "config print", "drain", "reload", "top", "bench", "keyring init", "keyring add", "keyring use",
		"keyring remove", "version",
	} {
		if all[name] == nil {
			t.Errorf("there is no command %s", name)
		}
	}
	var out, errs bytes.Buffer
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} { // cobra adds these when it runs
		if code := run(t.Context(), []string{"completion", shell}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "bucketring") {
			t.Errorf("completion %s = exit code %d, %s", shell, code, errs.String())
		}
		out.Reset()
	}
	endless := []string{"dev", "serve", "health"} // they print nothing, or no answer
	for name, c := range all {
		if has := c.Flags().Lookup("output") != nil; has == slices.Contains(endless, name) {
			t.Errorf("%s has -o: %v, want it everywhere but %v", name, has, endless)
		}
	}
}

// What would be printed in a way that there is not is not done either.
func TestBadOutputDoesNothing(t *testing.T) {
	for name, c := range leaves(newRoot(), "", map[string]*cobra.Command{}) {
		if c.Flags().Lookup("output") == nil {
			continue
		}
		args := strings.Fields(name)
		for len(args) < 8 && c.ValidateArgs(args[len(strings.Fields(name)):]) != nil {
			args = append(args, "3/m")
		}
		var out, errs bytes.Buffer
		code := run(t.Context(), append(args, "-o", "yaml"), &out, &errs)
		if code != exitUsage || out.Len() > 0 || errs.String() != "bucketring: unknown output \"yaml\": use text or json\n" {
			t.Errorf("%v -o yaml = exit code %d, %q, %q, want 2 and what is wrong", args, code, out.String(), errs.String())
		}
	}
}
