package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// slackEnv has the program under test say what it is before it is bucketring.
const slackEnv = "TEST_TELL_SLACK"

// tellSlack prints process, arguments and timer slack: a line each time the program begins.
func tellSlack() {
	slack, err := slackNow()
	fmt.Fprintln(os.Stderr, os.Getpid(), os.Args, slack, err)
}

// TestTimersRelaxed starts what an operator starts, with a timer slack that the child
// has from the thread that starts it.
func TestTimersRelaxed(t *testing.T) {
	const usual, long = 50 * time.Microsecond, 2 * time.Millisecond
	for _, c := range []struct {
		what, args string
		slack      time.Duration
		want       []time.Duration // each time it begins
	}{
		{"a node", "serve --help", usual, []time.Duration{usual, timerSlack}},
		{"a node with as much as it wants", "serve --help", timerSlack, []time.Duration{timerSlack}},
		{"a node with more", "serve --help", long, []time.Duration{long}},
		{"another command", "version", usual, []time.Duration{usual}},
	} {
		t.Run(c.what, func(t *testing.T) {
			runtime.LockOSThread() // and never unlocked: the thread ends with the test
			if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(c.slack), 0, 0, 0); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"bucketring"}, strings.Fields(c.args)...)
			var said bytes.Buffer
			cmd := exec.Command(os.Args[0])
			cmd.Args, cmd.Env, cmd.Stderr = args, childEnv(slackEnv+"=1"), &said
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, &said)
			}
			var want strings.Builder
			for _, slack := range c.want {
				fmt.Fprintln(&want, cmd.Process.Pid, args, slack, nil)
			}
			if said.String() != want.String() {
				t.Errorf("it was\n%swant\n%s", &said, &want)
			}
		})
	}
}
