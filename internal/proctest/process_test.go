// process_test.go runs one node as a process and ends it.

package proctest_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// slack is how long tests wait for what takes moments: a machine may be slow.
const slack = 45 * time.Second

// A node is a process that serves, and a way to ask it. Its standard input is a
// pipe that nobody writes to: it stops when the test binary ends, however that
// ends.
type node struct {
	name  string
	args  []string // behind those of its cluster, for a restart
	cmd   *exec.Cmd
	input io.Closer
	ready chan struct{} // closed when it has said that it is ready
	ended chan struct{} // closed when the process has ended
	err   error         // of its end; read after ended

	web  *http.Client
	base string // of its HTTP door

	asked  atomic.Bool  // callers may choose it
	dying  atomic.Bool  // it is being killed: calls inside it are lost
	calls  sync.RWMutex // read-held by calls under way; held to retire
	mu     sync.Mutex
	addrs  map[string]string // by door, as its log tells; guarded by mu
	log    []string          // guarded by mu
	begun  time.Time
	atLast time.Time // ready; read after ready
}

// launch starts a process and returns at once.
func launch(name string, argv []string) (*node, error) {
	n := &node{
		name: name, cmd: exec.Command(argv[0], argv[1:]...), addrs: map[string]string{},
		ready: make(chan struct{}), ended: make(chan struct{}), begun: time.Now(),
	}
	n.cmd.Env = cleanEnv()
	var err error
	if n.input, err = n.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	log, err := n.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	go n.follow(log)
	return n, nil
}

// cleanEnv keeps the settings of whoever runs the tests away from the nodes.
func cleanEnv() []string {
	var kept []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "BUCKETRING_") {
			kept = append(kept, e)
		}
	}
	return kept
}

// follow reads the log of a node until it ends.
func (n *node) follow(log io.Reader) {
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	isReady := false
	for lines.Scan() {
		var line struct{ Msg, Door, Addr string }
		known := json.Unmarshal(lines.Bytes(), &line) == nil
		n.mu.Lock()
		n.log = append(n.log, lines.Text())
		if known && line.Msg == "listening" {
			n.addrs[line.Door] = line.Addr
		}
		n.mu.Unlock()
		if known && line.Msg == "ready" && !isReady {
			isReady = true
			n.atLast = time.Now()
			close(n.ready)
		}
	}
	n.err = n.cmd.Wait()
	close(n.ended)
}

func (n *node) awaitReady() error {
	select {
	case <-n.ready:
		return nil
	case <-n.ended:
		return fmt.Errorf("node %s ended: %v:\n%s", n.name, n.err, n.lastLines(20))
	case <-time.After(slack):
		return fmt.Errorf("node %s is not ready after %v:\n%s", n.name, slack, n.lastLines(20))
	}
}

// doors returns where the node listens.
func (n *node) doors() map[string]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.addrs)
}

func (n *node) lastLines(most int) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.log[max(0, len(n.log)-most):], "\n")
}

// complaint is what no log may have; empty if there is nothing.
func (n *node) complaint() string {
	all := n.lastLines(1 << 20)
	for _, bad := range []string{"WARNING: DATA RACE", "panic:", "fatal error:", "call panicked"} {
		if strings.Contains(all, bad) {
			return bad
		}
	}
	return ""
}

func (n *node) running() bool {
	select {
	case <-n.ended:
		return false
	default:
		return true
	}
}

// retire keeps new calls away from the node and waits for those under way, as a
// load balancer does before a planned stop.
func (n *node) retire() {
	n.asked.Store(false)
	n.calls.Lock()
	defer n.calls.Unlock() // whoever comes now sees that it is not asked
}

// term asks the node to stop and waits until it has ended with exit code 0.
func (n *node) term() (took time.Duration, err error) {
	n.retire()
	began := time.Now()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return 0, err
	}
	select {
	case <-n.ended:
	case <-time.After(slack):
		n.kill()
		return 0, fmt.Errorf("node %s has not ended %v after SIGTERM:\n%s", n.name, slack, n.lastLines(20))
	}
	n.web.CloseIdleConnections()
	if n.err != nil {
		return 0, fmt.Errorf("node %s: %w, want exit code 0:\n%s", n.name, n.err, n.lastLines(20))
	}
	return time.Since(began), nil
}

// kill ends the node as a crash would, in the middle of what it does.
func (n *node) kill() {
	n.dying.Store(true)
	n.asked.Store(false)
	_ = n.cmd.Process.Kill() // fails only if it has ended
	<-n.ended
	if n.web != nil {
		n.web.CloseIdleConnections()
	}
}
