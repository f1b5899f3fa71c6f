// fleet.go starts real nodes, each in a process of its own, for the demo.

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A fleet is a cluster of processes on loopback. close leaves none behind.
type fleet struct {
	dir string // holds the key file

	mu    sync.Mutex
	nodes []*process // all that were started; guarded by mu
}

// A process is one node. Its standard input is a pipe that nobody writes to:
// the node stops when it closes, so that none outlives this program.
type process struct {
	name  string
	cmd   *exec.Cmd
	input io.Closer
	addrs map[string]string // by door
	doors []*door           // the ways to ask it
	ended chan struct{}     // closed when the process has ended
	err   error             // of its end; read after ended

	retired atomic.Bool  // about to end: nobody asks it any more
	calls   sync.RWMutex // read-held by calls under way; held to retire

	mu   sync.Mutex
	last []string // last lines of its log; guarded by mu
}

func newFleet() (*fleet, error) {
	dir, err := os.MkdirTemp("", "bucketring-demo-")
	if err != nil {
		return nil, err
	}
	f := &fleet{dir: dir}
	return f, initKeyring(f.keyFile())
}

func (f *fleet) keyFile() string { return filepath.Join(f.dir, "cluster.key") }

// start runs a node, which joins those that are there, and waits until it is
// ready.
func (f *fleet) start(ctx context.Context, name string) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := []string{"serve", "--node-name", name, "--stop-with-stdin", "--log-format", "json",
		"--cluster-label", "demo", "--key-file", f.keyFile(), "--drain-timeout", "9s", "--drain-linger", "2s", "--forward-budget", "2s"}
	for _, door := range []string{"http", "grpc", "gossip", "admin", "peer"} {
		args = append(args, "--listen-"+door, "127.0.0.1:0")
	}
	if seeds := f.seeds(); len(seeds) > 0 {
		args = append(args, "--cluster-join", strings.Join(seeds, ","))
	}
	p := &process{name: name, cmd: exec.Command(self, args...), addrs: map[string]string{}, ended: make(chan struct{})}
	p.cmd.Env = withoutSettings(os.Environ())
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	p.retired.Store(true) // until it is ready
	f.nodes = append(f.nodes, p)
	f.mu.Unlock()
	ready := make(chan struct{})
	go p.follow(log, ready)
	select {
	case <-ready:
		p.doors, err = openDoors(ctx, p)
		p.retired.Store(false)
		return p, err
	case <-p.ended:
		return nil, fmt.Errorf("node %s ended: %w:\n%s", name, p.err, p.lastLines())
	case <-ctx.Done():
		return nil, fmt.Errorf("node %s is not ready: %w:\n%s", name, ctx.Err(), p.lastLines())
	}
}

// withoutSettings keeps the user's own configuration out of the demo.
func withoutSettings(environ []string) []string {
	var kept []string
	for _, e := range environ {
		if !strings.HasPrefix(e, "BUCKETRING_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// serving lists the nodes that callers may ask.
func (f *fleet) serving() []*process {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []*process
	for _, p := range f.nodes {
		if !p.retired.Load() {
			all = append(all, p)
		}
	}
	return all
}

func (f *fleet) seeds() []string {
	var all []string
	for _, p := range f.serving() {
		all = append(all, p.addrs["gossip"])
	}
	return all
}

// follow reads the log of a node until it ends.
func (p *process) follow(log io.Reader, ready chan struct{}) {
	lines := bufio.NewScanner(log)
	for lines.Scan() {
		var line struct{ Msg, Door, Addr string }
		if json.Unmarshal(lines.Bytes(), &line) == nil {
			switch line.Msg {
			case "listening":
				p.addrs[line.Door] = line.Addr
			case "ready":
				close(ready) // addrs is complete and not written any more
			}
		}
		p.mu.Lock()
		p.last = append(p.last[max(0, len(p.last)-9):], lines.Text())
		p.mu.Unlock()
	}
	p.err = p.cmd.Wait()
	close(p.ended)
}

func (p *process) lastLines() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.last, "\n")
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// retire keeps new calls away from the node and waits for those under way.
func (p *process) retire() {
	p.calls.Lock()
	defer p.calls.Unlock()
	p.retired.Store(true)
}

// kill ends a node as a crash would. Its own callers are gone by then: what is
// watched is what the others make of it.
func (p *process) kill() {
	p.retire()
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// stop asks a node to drain and waits until it has ended with exit code 0.
func (p *process) stop() error {
	p.retire()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
	case <-time.After(15 * time.Second):
		p.kill()
		return fmt.Errorf("node %s did not stop", p.name)
	}
	if p.err != nil {
		return fmt.Errorf("node %s: %w:\n%s", p.name, p.err, p.lastLines())
	}
	return nil
}

// close ends what is left.
func (f *fleet) close() error {
	for _, p := range f.nodes {
		closeDoors(p.doors)
		if p.running() {
			p.kill()
		}
	}
	return errors.Join(os.RemoveAll(f.dir))
}
