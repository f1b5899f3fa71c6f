// split_test.go cuts a cluster in two and lets it heal, each node in a network
// namespace of its own.

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A testNet is a switch with a cable to each of some hosts, all of them network
// namespaces. It is told apart from others by a number and touches nothing else.
type testNet struct {
	t     *testing.T
	hub   string
	hosts []string
}

// newTestNet skips the test where such a network cannot be made.
func newTestNet(t *testing.T, count int) *testNet {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("skipped: a split between processes needs root and the command ip, for network namespaces")
	}
	n := &testNet{t: t, hub: fmt.Sprintf("brt%d-hub", os.Getpid())}
	if out, err := ip("netns", "add", n.hub); err != nil {
		t.Skipf("skipped: no network namespaces here: %v: %s", err, out)
	}
	t.Cleanup(func() { n.remove(n.hub) })
	if out, err := ip("-n", n.hub, "link", "add", "br0", "type", "bridge"); err != nil {
		t.Skipf("skipped: no bridges here: %v: %s", err, out)
	}
	n.ip("-n", n.hub, "link", "set", "br0", "up")
	for i := range count {
		n.addHost(i)
	}
	return n
}

func ip(args ...string) (string, error) {
	out, err := exec.Command("ip", args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (n *testNet) ip(args ...string) {
	n.t.Helper()
	if out, err := ip(args...); err != nil {
		n.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// remove runs in Cleanup, after the processes inside have ended.
func (n *testNet) remove(name string) {
	if out, err := ip("netns", "del", name); err != nil {
		n.t.Errorf("ip netns del %s: %v: %s", name, err, out)
	}
}

// addHost makes a namespace with one private address and a cable to the hub.
func (n *testNet) addHost(i int) {
	n.t.Helper()
	host, port := fmt.Sprintf("brt%d-%d", os.Getpid(), i), n.port(i)
	n.ip("netns", "add", host)
	n.t.Cleanup(func() { n.remove(host) })
	n.hosts = append(n.hosts, host)
	n.ip("-n", n.hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
	n.ip("-n", n.hub, "link", "set", port, "master", "br0", "up")
	n.ip("-n", host, "addr", "add", n.addr(i)+"/24", "dev", "eth0")
	n.ip("-n", host, "link", "set", "eth0", "up")
	n.ip("-n", host, "link", "set", "lo", "up")
}

func (n *testNet) addr(i int) string { return fmt.Sprintf("10.77.0.%d", i+1) }
func (n *testNet) port(i int) string { return fmt.Sprintf("port%d", i) }

// cut and heal pull the cable of a host, and put it back.
func (n *testNet) cut(i int)  { n.t.Helper(); n.ip("-n", n.hub, "link", "set", n.port(i), "down") }
func (n *testNet) heal(i int) { n.t.Helper(); n.ip("-n", n.hub, "link", "set", n.port(i), "up") }

// startNode runs a node on host i. Its HTTP door is asked through a relay.
func (n *testNet) startNode(i int, args ...string) *testNode {
	n.t.Helper()
	name := fmt.Sprint("n", i+1)
	inside := []string{"ip", "netns", "exec", n.hosts[i]}
	line := append(inside, serveCommandLine(name)...)
	line = append(line, "--listen-gossip", n.addr(i)+":7752", "--listen-peer", n.addr(i)+":7755")
	node := &testNode{running: start(n.t, append(line, args...)...), name: name}
	if err := node.awaitReady(); err != nil {
		n.t.Fatal(err)
	}
	socket := filepath.Join(n.t.TempDir(), "http")
	start(n.t, append(inside, "relay", socket, node.at("http"))...)
	await(n.t, slack, func() error { _, err := os.Stat(socket); return err })
	client := &http.Client{Timeout: slack, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", socket)
		},
	}}
	n.t.Cleanup(client.CloseIdleConnections)
	node.web = &webDoor{base: "http://" + name, client: client}
	return node
}

// A cluster that was cut in two is one again by itself, with one ring. The cut
// lasts until both sides have given each other up and a little longer, or 30 s
// with BUCKETRING_LONG=1.
func TestSplitHeals(t *testing.T) {
	t.Parallel()
	network := newTestNet(t, 3)
	join := []string{"--key-file", newKeyFile(t), "--cluster-label", "split"}
	var nodes []*testNode
	for i := range 3 {
		nodes = append(nodes, network.startNode(i, join...))
		if i == 0 { // n1 is the only seed, and has none itself
			join = append(join, "--cluster-join", network.addr(0)+":7752")
		}
	}
	awaitOneRing(t, slack, nodes...)

	network.cut(2)
	cut := time.Now()
	await(t, slack, func() error { return buried(nodes[:2], "n3") })
	one := awaitBothDead(t, nodes[2])
	t.Logf("both sides gave each other up after %v", time.Since(cut).Round(time.Millisecond))
	expectVerdicts(t, nodes)
	rest := time.Second
	if os.Getenv("BUCKETRING_LONG") != "" {
		rest = 30*time.Second - time.Since(cut)
	}
	time.Sleep(rest) // the length of the cut is what is tested
	if v, err := viewOf(nodes[2].web); err != nil || v.ring != one {
		t.Errorf("n3 sees the ring %q before the cut has healed, error %v, want %q", v.ring, err, one)
	}

	length := time.Since(cut)
	network.heal(2)
	took := awaitOneRing(t, 45*time.Second, nodes...)
	t.Logf("one ring %v after a cut of %v; promised are 30s", took.Round(time.Millisecond), length.Round(time.Millisecond))
	if took > 30*time.Second {
		t.Errorf("one ring after %v, want 30 s at most", took)
	}
}

// awaitBothDead waits until the lonely side has buried the others, and returns
// its ring.
func awaitBothDead(t *testing.T, lonely *testNode) string {
	t.Helper()
	await(t, slack, func() error {
		for _, name := range []string{"n1", "n2"} {
			if err := buried([]*testNode{lonely}, name); err != nil {
				return err
			}
		}
		return nil
	})
	return lonely.name
}

// expectVerdicts takes on both sides of the cut: none waits for the other.
func expectVerdicts(t *testing.T, nodes []*testNode) {
	t.Helper()
	for _, n := range nodes {
		for i := range 5 {
			key := fmt.Sprint("split:", i)
			if d, err := n.web.Take(t.Context(), takeOne(key, "1000/h")); err != nil || !d.Allowed {
				t.Errorf("Take(%q) on %s during the split = %v, %v, want allowed", key, n.name, d.Allowed, err)
			}
		}
	}
}
