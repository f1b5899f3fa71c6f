// nodes_test.go starts nodes, each a process of its own, and ends them.

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// slack is how long tests wait for what takes moments: machines that build are
// slow. Where a time is promised, the test logs what it measured.
const slack = 30 * time.Second

// A running is a process that was started by a test.
type running struct {
	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has ended
	ready chan struct{} // closed when it has said that it is ready

	mu    sync.Mutex
	lines bytes.Buffer      // what it printed; guarded by mu
	addrs map[string]string // by door, as its log tells; guarded by mu
}

// launch runs a program in a folder, empty for this one, and returns at once.
func launch(dir string, env []string, argv ...string) (*running, error) {
	p := &running{
		cmd: exec.Command(argv[0], argv[1:]...), ended: make(chan struct{}), ready: make(chan struct{}),
		addrs: map[string]string{},
	}
	p.cmd.Dir, p.cmd.Env = dir, env
	read, write := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = write, write
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // its result is in cmd.ProcessState
		_ = write.Close()
	}()
	go p.follow(read)
	return p, nil
}

// follow reads what the process prints until it ends.
func (p *running) follow(r io.Reader) {
	defer close(p.ended)
	in := bufio.NewReader(r)
	for isReady := false; ; {
		text, err := in.ReadBytes('\n')
		var line struct{ Msg, Door, Addr string }
		known := json.Unmarshal(text, &line) == nil
		p.mu.Lock()
		p.lines.Write(text)
		if known && line.Msg == "listening" {
			p.addrs[line.Door] = line.Addr
		}
		p.mu.Unlock()
		if known && line.Msg == "ready" && !isReady {
			isReady = true
			close(p.ready)
		}
		if err != nil {
			return
		}
	}
}

// log is all that the process has printed.
func (p *running) log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines.String()
}

// at is where a door listens.
func (p *running) at(door string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addrs[door]
}

func (p *running) doors() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.addrs)
}

func (p *running) awaitReady() error {
	select {
	case <-p.ready:
		return nil
	case <-p.ended:
		return fmt.Errorf("%s ended with %v:\n%s", p.cmd, p.cmd.ProcessState, p.log())
	case <-time.After(slack):
		return fmt.Errorf("%s is not ready after %v:\n%s", p.cmd, slack, p.log())
	}
}

func (p *running) signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// awaitEnd waits until the process has ended by itself.
func (p *running) awaitEnd() error {
	select {
	case <-p.ended:
		return nil
	case <-time.After(slack):
		return fmt.Errorf("%s has not ended after %v", p.cmd, slack)
	}
}

// kill ends the process as a crash would.
func (p *running) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.ended
}

// check ends the process and says what its log has that no log may have.
func (p *running) check() error {
	p.kill()
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", "call panicked"} {
		if strings.Contains(p.log(), bad) {
			return errors.New("log has " + bad)
		}
	}
	return nil
}

// start runs the program until the test ends and shows its log if that failed.
func start(t *testing.T, argv ...string) *running {
	t.Helper()
	p, err := launch("", childEnv(), argv...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.check(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s ended with %v:\n%s", p.cmd, p.cmd.ProcessState, p.log())
		}
	})
	return p
}

// A testNode is a running node of a cluster.
type testNode struct {
	*running
	name string
	web  *webDoor
}

// startNode runs a node with JSON logs and waits until it is ready. Its doors
// get free ports unless args, which come last, say otherwise.
func startNode(t *testing.T, name string, args ...string) *testNode {
	t.Helper()
	n := &testNode{running: start(t, append(serveCommandLine(name), args...)...), name: name}
	if err := n.awaitReady(); err != nil {
		t.Fatal(err)
	}
	n.web = &webDoor{base: "http://" + n.at("http"), client: newHTTP(t)}
	return n
}

func serveCommandLine(name string) []string {
	line := []string{"bucketring", "serve", "--node-name", name, "--log-format", "json", "--drain-linger", "2s"}
	for _, door := range []string{"http", "grpc", "gossip", "admin", "peer"} {
		line = append(line, "--listen-"+door, "127.0.0.1:0")
	}
	return line
}

// newKeyFile makes the secrets of one cluster.
func newKeyFile(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "cluster.key")
	if out, err := exec.Command("bucketring", "keyring", "init", name).CombinedOutput(); err != nil {
		t.Fatalf("keyring init: %v:\n%s", err, out)
	}
	return name
}

// startCluster runs nodes n1, n2 … with a key file and a label, and waits until
// all have the same ring. It returns also what a further node needs to join.
func startCluster(t *testing.T, count int, args ...string) (nodes []*testNode, join []string) {
	t.Helper()
	join = append([]string{"--key-file", newKeyFile(t), "--cluster-label", "test"}, args...)
	for i := range count {
		n := startNode(t, fmt.Sprint("n", i+1), join...)
		if i == 0 {
			join = append(join, "--cluster-join", n.at("gossip"))
		}
		nodes = append(nodes, n)
	}
	awaitOneRing(t, slack, nodes...)
	return nodes, join
}
