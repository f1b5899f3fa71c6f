// network_test.go gives each node a network namespace of its own, whose cables
// can be cut or lose packets.

package proctest_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// skippedCuts counts the tests that wanted a network and could not have one.
var skippedCuts atomic.Int64

// A network is a switch with a cable to each of some hosts, all of them network
// namespaces. Its names have the number of this process, and it touches nothing
// outside.
type network struct {
	t     *testing.T
	hub   string
	hosts map[string]*host // by the name of the node that lives there
}

// A host is the namespace of one node.
type host struct {
	space string
	addr  string
}

// newNetwork makes a network for nodes of these names. It skips the test where
// that cannot be.
func newNetwork(t *testing.T, nodes ...string) *network {
	t.Helper()
	if !*cutting && !*long {
		t.Skip("skipped: cuts networks, which -net or -long asks for")
	}
	for _, command := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(command); err != nil || os.Geteuid() != 0 {
			t.Skipf("skipped, %d so far: network namespaces need root and the commands ip and nft", skippedCuts.Add(1))
		}
	}
	n := &network{t: t, hub: fmt.Sprintf("brt-%d-hub", os.Getpid()), hosts: map[string]*host{}}
	if out, err := run("ip", "netns", "add", n.hub); err != nil {
		t.Skipf("skipped, %d so far: no network namespaces here: %v: %s", skippedCuts.Add(1), err, out)
	}
	t.Cleanup(func() { n.must("ip", "netns", "del", n.hub) })
	if out, err := run("ip", "-n", n.hub, "link", "add", "br0", "type", "bridge"); err != nil {
		t.Skipf("skipped, %d so far: no bridges here: %v: %s", skippedCuts.Add(1), err, out)
	}
	n.must("ip", "-n", n.hub, "link", "set", "br0", "up")
	for i, node := range nodes {
		n.addHost(i+1, node)
	}
	return n
}

func (n *network) addHost(i int, node string) {
	n.t.Helper()
	h := &host{space: fmt.Sprintf("brt-%d-%d", os.Getpid(), i), addr: fmt.Sprintf("10.79.0.%d", i)}
	n.hosts[node] = h
	port := fmt.Sprint("port", i)
	n.must("ip", "netns", "add", h.space)
	n.t.Cleanup(func() { n.must("ip", "netns", "del", h.space) })
	n.must("ip", "-n", n.hub, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", h.space)
	n.must("ip", "-n", n.hub, "link", "set", port, "master", "br0", "up")
	n.must("ip", "-n", h.space, "addr", "add", h.addr+"/24", "dev", "eth0")
	n.must("ip", "-n", h.space, "link", "set", "eth0", "up")
	n.must("ip", "-n", h.space, "link", "set", "lo", "up")
}

// run runs a command and returns what it prints.
func run(argv ...string) (string, error) {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (n *network) must(argv ...string) {
	n.t.Helper()
	if out, err := run(argv...); err != nil {
		n.t.Errorf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
}

// inside is what comes before a command that is to run where a node lives. It
// becomes the command itself, with the same process id.
func (n *network) inside(node string) []string {
	return []string{"ip", "netns", "exec", n.hosts[node].space}
}

// doors are the flags that open a node's doors to the others.
func (n *network) doors(node string) []string {
	addr := n.hosts[node].addr
	return []string{"--listen-gossip", addr + ":7752", "--listen-peer", addr + ":7755"}
}

// filter makes a node drop what comes in over its cable as the rules of nft say.
// Nothing is dropped on its way out: the sender would be told.
func (n *network) filter(node string, rules ...string) {
	n.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", n.hosts[node].space, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("table inet brt {\n chain in {\n  type filter hook input priority 0;\n  iifname eth0 " +
		strings.Join(rules, "\n  iifname eth0 ") + "\n }\n}\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Fatalf("nft in %s: %v: %s", n.hosts[node].space, err, out)
	}
}

// split keeps all packets between one node and the others from arriving.
func (n *network) split(lonely string) {
	n.t.Helper()
	for node := range n.hosts {
		if node == lonely {
			n.filter(node, "drop")
		} else {
			n.filter(node, "ip saddr "+n.hosts[lonely].addr+" drop")
		}
	}
}

// lose drops so many of a hundred packets everywhere.
func (n *network) lose(percent int) {
	n.t.Helper()
	for node := range n.hosts {
		n.filter(node, fmt.Sprintf("numgen random mod 100 < %d drop", percent))
	}
}

// heal lets all packets through again.
func (n *network) heal() {
	n.t.Helper()
	for _, h := range n.hosts {
		n.must("ip", "netns", "exec", h.space, "nft", "delete", "table", "inet", "brt")
	}
}

// relayTo starts a relay into a node's namespace and returns how to reach its
// HTTP door.
func (n *network) relayTo(to *node) func(context.Context, string, string) (net.Conn, error) {
	n.t.Helper()
	dir, err := os.MkdirTemp("", "brt-") // the path of a socket must be short
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	socket := filepath.Join(dir, "http")
	argv := append(n.inside(to.name), self)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), relayEnv+"="+socket, relayToEnv+"="+to.doors()["http"])
	if _, err := cmd.StdinPipe(); err != nil { // it ends with this one
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Since(began) > slack {
			n.t.Fatalf("the relay to %s has not begun after %v", to.name, slack)
		}
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
}

// startApart runs nodes n1, n2 and n3 in a network of their own.
func startApart(t *testing.T, args ...string) *cluster {
	t.Helper()
	nodes := []string{"n1", "n2", "n3"}
	n := newNetwork(t, nodes...)
	c := newCluster(t, args...)
	c.net = n
	for _, name := range nodes {
		c.start(name)
	}
	c.awaitAgreement()
	return c
}
