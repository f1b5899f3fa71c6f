// Command bucketring runs a node of a distributed rate limiter, asks one, and
// shows what a cluster does. Start with: bucketring demo.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // calendar windows follow time zones, also where a system has none

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bucketring/bucketring"
)

// version is set by the linker; see the Makefile.
var version = "dev"

// Exit codes, as the help of every command lists them.
const (
	exitOK       = 0 // done, or allowed
	exitError    = 1 // unreachable, timed out
	exitUsage    = 2 // wrong use, or invalid configuration
	exitDenied   = 3 // denied, a promise of the demo broken, or a target of bench missed
	exitDegraded = 4 // the cluster has unhealthy members
)

// An exit is an error with its exit code. An empty text prints nothing.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// usage marks an error as one of the caller's command line or configuration.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &exit{exitUsage, err}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == serveName {
		relaxTimers()
	}
	ctx, stop := context.WithCancel(context.Background())
	told := make(chan os.Signal, 1)
	signal.Notify(told, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-told
		signal.Stop(told) // a second signal ends the process at once, from before the first has any effect
		stop()
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run executes one command and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitUsage // what cobra itself refuses is wrong use
	var e *exit
	if errors.As(err, &e) {
		code = e.code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(stderr, "bucketring:", text)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "bucketring",
		Short: "A distributed rate limiter that needs no database",
		Long: `bucketring is a distributed rate limiter that needs no database: nodes find each
other by gossip, own key ranges on a consistent-hash ring, decide in memory and
forward what they do not own.

Exit codes: 0 ok or allowed, 1 error, 2 usage or invalid configuration, 3 denied,
4 degraded.`,
		SilenceErrors: true, SilenceUsage: true,
		Args: noSuchCommand,
		// Before a command does anything: what it did would be hard to see, and to undo.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Lookup("output") == nil {
				return nil
			}
			_, err := wantsJSON(cmd)
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(suggestFlag)
	root.AddCommand(
		demoCommand(), devCommand(), serveCommand(),
		verbCommand("take", "Take tokens; exit code 3 if they are denied"),
		verbCommand("peek", "Ask what a take would get; change nothing"),
		verbCommand("refund", "Give tokens back, never above full"),
		verbCommand("reset", "Forget what a key has used"),
		usageCommand(), membersCommand(), ringCommand(), explainCommand(), topCommand(),
		policyCommand(), reloadCommand(), drainCommand(), benchCommand(), keyringCommand(), tokenCommand(), configCommand(), healthCommand(), versionCommand(),
	)
	return root
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noSuchCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(commands...)
	return cmd
}

// noSuchCommand refuses what is left after the commands that exist.
func noSuchCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, c := range cmd.Commands() {
		if !c.Hidden {
			names = append(names, c.Name())
		}
	}
	return usage(fmt.Errorf("unknown command %q%s", args[0], bucketring.Suggest(args[0], names)))
}

// suggestFlag names the nearest flag beside one that does not exist.
func suggestFlag(cmd *cobra.Command, err error) error {
	var unknown *pflag.NotExistError
	if !errors.As(err, &unknown) {
		return usage(err)
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, "--"+f.Name)
		}
	})
	return usage(fmt.Errorf("%w%s", err, bucketring.Suggest("--"+unknown.GetSpecifiedName(), names)))
}

// asExit gives errors of a command's own work the exit code 1.
func asExit(err error) error {
	var e *exit
	if err == nil || errors.As(err, &e) {
		return err
	}
	return &exit{exitError, err}
}
