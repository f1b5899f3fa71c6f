// node_test.go runs programs, and one node of bucketring among them.

package doortest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// A process is a program that runs until its test ends or stops it.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended
	err   error         // of its end; read after ended

	mu  sync.Mutex
	log bytes.Buffer // standard output and error; guarded by mu
}

// Write takes in what the program prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// start runs a program that starts no other.
func start(t *testing.T, name string, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{name: name, cmd: cmd, ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if cmd.Env == nil {
		cmd.Env = cleanEnv()
	}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start of %s: %v", name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s ended with %v; its log:\n%s", name, cmd.ProcessState, p.text())
		}
	})
	return p
}

// kill ends the program.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // fails only if it has ended
	<-p.ended
}

// cleanEnv keeps the settings of whoever runs the tests away from what they start.
func cleanEnv() []string {
	var kept []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "BUCKETRING_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// await polls until check has nothing to say, and gives up when one of the
// processes has ended.
func await(t *testing.T, check func() error, needs ...*process) {
	t.Helper()
	tick, end := time.NewTicker(10*time.Millisecond), time.After(slack)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		for _, p := range needs {
			select {
			case <-p.ended:
				t.Fatalf("%s has ended: %v:\n%s", p.name, p.err, p.text())
			default:
			}
		}
		select {
		case <-end:
			t.Fatalf("after %v: %v", slack, err)
		case <-tick.C:
		}
	}
}

// A node is a process of bucketring that is alone.
type node struct {
	*process
	doors map[string]string // addresses by the name of the door
}

// startNode runs a node with all doors for clients on free ports of loopback, and
// waits until it is ready.
func startNode(t *testing.T, args ...string) *node {
	t.Helper()
	line := []string{"serve", "--node-name", "n1", "--log-format", "json", "--stop-with-stdin", "--listen-gossip", "", "--listen-peer", ""}
	for _, door := range []string{"http", "grpc", "admin", "resp"} {
		line = append(line, "--listen-"+door, "127.0.0.1:0")
	}
	cmd := exec.Command(binary(t), append(line, args...)...)
	input, err := cmd.StdinPipe() // it ends when the test binary does, however that ends
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = input.Close() })
	n := &node{process: start(t, "bucketring", cmd)}
	await(t, n.ready, n.process)
	t.Cleanup(func() {
		for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", "call panicked"} {
			if strings.Contains(n.text(), bad) {
				t.Errorf("the log of the node has %q:\n%s", bad, n.text())
			}
		}
	})
	return n
}

// ready reads the log of the node.
func (n *node) ready() error {
	doors, ready := map[string]string{}, false
	for text := range strings.Lines(n.text()) {
		var line struct{ Msg, Door, Addr string }
		if json.Unmarshal([]byte(text), &line) != nil {
			continue
		}
		if line.Msg == "listening" {
			doors[line.Door] = line.Addr
		}
		ready = ready || line.Msg == "ready"
	}
	if !ready {
		return fmt.Errorf("the node is not ready:\n%s", n.text())
	}
	n.doors = maps.Clone(doors)
	return nil
}

// freeAddr returns an address of loopback that was free a moment ago, for programs
// that cannot be asked which port they have got.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
