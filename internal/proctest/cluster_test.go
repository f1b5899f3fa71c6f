// cluster_test.go starts, ends and watches the nodes of one cluster.

package proctest_test

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A cluster is the nodes of one test, all on loopback unless their flags say
// otherwise. None of them outlives the test.
type cluster struct {
	t    *testing.T
	args []string // flags of all nodes
	net  *network // where they live; nil for loopback

	mu    sync.Mutex
	nodes []*node // all that were started; guarded by mu
}

// newCluster makes a cluster without nodes.
func newCluster(t *testing.T, args ...string) *cluster {
	t.Helper()
	key := filepath.Join(t.TempDir(), "cluster.key")
	if out, err := exec.Command(binary(t), "keyring", "init", key).CombinedOutput(); err != nil {
		t.Fatalf("keyring init: %v:\n%s", err, out)
	}
	c := &cluster{t: t, args: append([]string{"--cluster-label", "proctest", "--key-file", key}, args...)}
	if *budget != 0 {
		c.args = append(c.args, "--forward-budget", budget.String())
	}
	t.Cleanup(c.close)
	return c
}

// patient are the flags for planned changes, where no answer may be degraded: a
// machine that stands still for a moment is no reason to give up a healthy owner.
func patient() []string {
	if *strict {
		return []string{"--forward-budget", "500ms"}
	}
	return []string{"--forward-budget", "2s"}
}

// startCluster runs nodes n1, n2 … and waits until they agree.
func startCluster(t *testing.T, count int, args ...string) *cluster {
	t.Helper()
	c := newCluster(t, args...)
	for i := range count {
		c.start(fmt.Sprint("n", i+1))
	}
	c.awaitAgreement()
	return c
}

// close runs in Cleanup. It ends what is left and shows the logs of a failed test.
func (c *cluster) close() {
	for _, n := range c.nodes {
		if n.running() {
			n.kill()
		}
		_ = n.input.Close()
		if bad := n.complaint(); bad != "" {
			c.t.Errorf("the log of %s has %q", n.name, bad)
		}
		if c.t.Failed() {
			c.t.Logf("%s ended with %v; the last of its log:\n%s", n.name, n.cmd.ProcessState, n.lastLines(12))
		}
	}
}

// start runs a node and waits until it is ready.
func (c *cluster) start(name string, args ...string) *node {
	c.t.Helper()
	n := c.launch(name, args...)
	c.admit(n)
	return n
}

// startAll runs nodes that all begin at once.
func (c *cluster) startAll(names ...string) {
	c.t.Helper()
	var all []*node
	for _, name := range names {
		all = append(all, c.launch(name))
	}
	for _, n := range all {
		c.admit(n)
	}
}

// restart runs a node again that has ended, with the same name and ports.
func (c *cluster) restart(old *node) *node {
	c.t.Helper()
	n := c.relaunch(old)
	c.admit(n)
	return n
}

// restartAll runs ended nodes again, all at once. Each has the others as seeds,
// of which none is there yet.
func (c *cluster) restartAll(old []*node) []*node {
	c.t.Helper()
	var all []*node
	for _, o := range old {
		var seeds []string
		for _, other := range old {
			if other != o {
				seeds = append(seeds, other.doors()["gossip"])
			}
		}
		all = append(all, c.relaunch(o, "--cluster-join", strings.Join(seeds, ",")))
	}
	for _, n := range all {
		c.admit(n)
	}
	return all
}

func (c *cluster) relaunch(old *node, args ...string) *node {
	c.t.Helper()
	again := slices.Clone(old.args)
	for door, addr := range old.doors() {
		again = append(again, "--listen-"+door, addr)
	}
	return c.launch(old.name, append(again, args...)...)
}

func (c *cluster) launch(name string, args ...string) *node {
	c.t.Helper()
	var argv []string
	if c.net != nil {
		argv = c.net.inside(name)
	}
	argv = append(argv, binary(c.t), "serve", "--node-name", name, "--log-format", "json", "--stop-with-stdin")
	for _, door := range []string{"http", "grpc", "gossip", "admin", "peer"} {
		argv = append(argv, "--listen-"+door, "127.0.0.1:0")
	}
	argv = append(argv, c.args...)
	if c.net != nil {
		argv = append(argv, c.net.doors(name)...)
	}
	argv = append(argv, args...)
	if seeds := c.seeds(); len(seeds) > 0 && !slices.Contains(args, "--cluster-join") {
		argv = append(argv, "--cluster-join", strings.Join(seeds, ","))
	}
	n, err := launch(name, argv)
	if err != nil {
		c.t.Fatalf("start of %s: %v", name, err)
	}
	n.args = args
	c.mu.Lock()
	c.nodes = append(c.nodes, n)
	c.mu.Unlock()
	return n
}

// admit waits until a node is ready and lets callers ask it.
func (c *cluster) admit(n *node) {
	c.t.Helper()
	if err := n.awaitReady(); err != nil {
		c.t.Fatal(err)
	}
	n.base = "http://" + n.doors()["http"]
	keep := &http.Transport{MaxIdleConns: 512, MaxIdleConnsPerHost: 512}
	if c.net != nil {
		keep.DialContext = c.net.relayTo(n)
	}
	n.web = &http.Client{Transport: keep}
	n.asked.Store(true)
}

// serving lists the nodes that callers may ask.
func (c *cluster) serving() []*node {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*node
	for _, n := range c.nodes {
		if n.asked.Load() {
			all = append(all, n)
		}
	}
	return all
}

func (c *cluster) seeds() []string {
	var all []string
	for _, n := range c.serving() {
		all = append(all, n.doors()["gossip"])
	}
	return all
}

// stop drains nodes, all at once, and returns how long the slowest took.
func (c *cluster) stop(nodes ...*node) time.Duration {
	c.t.Helper()
	took, errs := make([]time.Duration, len(nodes)), make([]error, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() { took[i], errs[i] = n.term() })
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return slices.Max(took)
}

// awaitAgreement waits until the nodes that serve see exactly each other and have
// equal rings.
func (c *cluster) awaitAgreement() time.Duration {
	c.t.Helper()
	return c.awaitThat(slack, c.disagreement)
}

// awaitThat polls until check has nothing to say.
func (c *cluster) awaitThat(most time.Duration, check func(context.Context) error) time.Duration {
	c.t.Helper()
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		err := check(ctx)
		cancel()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > most {
			c.t.Fatalf("after %v: %v", most, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// disagreement says who is not of one mind; nil if all are.
func (c *cluster) disagreement(ctx context.Context) error {
	nodes := c.serving()
	if err := unequalViews(ctx, nodes); err != nil {
		return err
	}
	return unequalRings(ctx, nodes)
}

// unequalViews compares the members that each node sees with those that serve.
func unequalViews(ctx context.Context, nodes []*node) error {
	var want []string
	for _, n := range nodes {
		want = append(want, n.name)
	}
	slices.Sort(want)
	for _, n := range nodes {
		m, err := n.members(ctx)
		if err != nil {
			return err
		}
		if got := m.active(); !slices.Equal(got, want) {
			return fmt.Errorf("%s sees %v as active, want %v", n.name, got, want)
		}
	}
	return nil
}

func unequalRings(ctx context.Context, nodes []*node) error {
	first := ""
	for _, n := range nodes {
		r, err := n.ring(ctx)
		if err != nil {
			return err
		}
		if len(r.Members) != len(nodes) {
			return fmt.Errorf("%s has a ring of %d, want %d", n.name, len(r.Members), len(nodes))
		}
		if first == "" {
			first = r.Fingerprint
		}
		if r.Fingerprint != first {
			return fmt.Errorf("%s has the ring %s, %s has %s", nodes[0].name, first, n.name, r.Fingerprint)
		}
	}
	return nil
}
