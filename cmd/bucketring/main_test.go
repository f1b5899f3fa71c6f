// main_test.go lets this test binary act as bucketring, so that every test runs
// real processes and none needs a build of its own.

package main

import (
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"bucketring": program, "relay": relay})
}

// program is main, ended by the end of the test that started it: a test that
// panics or runs out of time has no chance to stop its nodes.
func program() {
	if parent, err := strconv.Atoi(os.Getenv(parentEnv)); err == nil && parent == os.Getppid() {
		go func() {
			for os.Getppid() == parent {
				time.Sleep(200 * time.Millisecond)
			}
			os.Exit(1)
		}()
	}
	if os.Getenv(slackEnv) != "" {
		tellSlack()
	}
	main()
}

// parentEnv has the process id of the test binary.
const parentEnv = "TEST_PARENT"

// settingsPrefix begins the names that bucketring reads.
const settingsPrefix = "BUCKETRING_"

// childEnv is the environment of a process under test: without the settings of
// whoever runs the tests, and without the second that the race detector sleeps
// at each exit.
func childEnv(extra ...string) []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, settingsPrefix) && !strings.HasPrefix(e, "GORACE=") {
			env = append(env, e)
		}
	}
	env = append(env, quickExit(), parentEnv+"="+strconv.Itoa(os.Getpid()))
	return append(env, extra...)
}

func quickExit() string {
	return "GORACE=" + strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0")
}

// relay carries connections from a Unix socket to a TCP address. A socket's file
// can be reached from outside a network namespace, its addresses cannot.
func relay() {
	if len(os.Args) != 3 {
		os.Exit(2)
	}
	l, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	for {
		in, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer in.Close()
			out, err := net.Dial("tcp", os.Args[2])
			if err != nil {
				return
			}
			defer out.Close()
			go func() { _, _ = io.Copy(out, in) }()
			_, _ = io.Copy(in, out)
		}()
	}
}
