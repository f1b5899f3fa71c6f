// script_test.go runs the scripts in testdata: commands as users type them, what
// they print, and their exit codes.

package main

import (
	"errors"
	"flag"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect")

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code": expectCode, "await": awaitOutput, "node": runNode, "crash": crashNode,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", strings.TrimPrefix(quickExit(), "GORACE="))
			env.Values[nodesKey{}] = &scriptNodes{t, map[string]*running{}}
			return nil
		},
	})
}

// scriptNodes are the nodes of one script, by name. What is wrong with them after
// its end goes to the test of all scripts.
type scriptNodes struct {
	t      *testing.T
	byName map[string]*running
}

type nodesKey struct{}

func nodesOf(ts *testscript.TestScript) *scriptNodes { return ts.Value(nodesKey{}).(*scriptNodes) }

// expectCode runs the program and wants an exit code: code 2 take alice.
func expectCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: code NUMBER [argument...]")
	}
	if got := runProgram(ts, args[1:]); strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit code %d, want %s", got, args[0])
	}
}

// awaitOutput runs the program again and again until a line of its output
// matches: await '^n1 +dead' members.
func awaitOutput(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: await REGEXP [argument...]")
	}
	want, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		runProgram(ts, args[1:])
		if want.MatchString(ts.ReadFile("stdout")) {
			return
		}
		if time.Since(began) > slack {
			ts.Fatalf("no match for %s after %v", want, slack)
		}
	}
}

func runProgram(ts *testscript.TestScript, args []string) int {
	err := ts.Exec("bucketring", args...)
	var exited *exec.ExitError
	if err != nil && !errors.As(err, &exited) {
		ts.Fatalf("%v", err)
	}
	if err != nil {
		return exited.ExitCode()
	}
	return 0
}

// runNode runs a node in the background until the script ends: node n1 dev
// [flag...]. Its doors get free ports, and the variables n1_http and so on tell
// them.
func runNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: node NAME dev|serve [flag...]")
	}
	name := args[0]
	line := serveCommandLine(name)
	line[1] = args[1]
	if args[1] == "dev" {
		line = append(line, "--listen-gossip=", "--listen-peer=", "--listen-resp=127.0.0.1:0")
	}
	p, err := launch(ts.MkAbs("."), childEnv(), append(line, args[2:]...)...)
	ts.Check(err)
	nodes := nodesOf(ts)
	nodes.byName[name] = p
	ts.Defer(func() {
		if err := p.check(); err != nil {
			nodes.t.Errorf("%s of script %s: %v:\n%s", name, ts.Name(), err, p.log())
		}
	})
	ts.Check(p.awaitReady())
	for door, addr := range p.doors() {
		ts.Setenv(name+"_"+door, addr)
	}
}

// crashNode ends a node without a goodbye: crash n2.
func crashNode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 || nodesOf(ts).byName[args[0]] == nil {
		ts.Fatalf("usage: crash NAME, with a node that runs")
	}
	nodesOf(ts).byName[args[0]].kill()
}
