package main

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring/ring"
)

// A node is killed, and limits that are closed without their owner stay closed where it has
// counted, until it is forgotten: then they go on from the counts of its copies.
func TestForgottenMember(t *testing.T) {
	t.Parallel()
	nodes, _ := startCluster(t, 3, exactly...)
	n1, n2, victim := nodes[0], nodes[1], nodes[2]
	keys := keysByOwner(t, nodes, 3)[victim.name]
	const limit, spent = "20/month@UTC unavailable=deny", 4
	for _, key := range keys {
		for range spent {
			if d, err := n1.web.Take(t.Context(), takeOne(key, limit)); err != nil || !d.Allowed {
				t.Fatalf("Take(%q) = %v, %v, want allowed", key, d, err)
			}
		}
	}
	awaitCopied(t, victim)
	if status, text := forget(t, n1, victim.name); status != http.StatusUnprocessableEntity || !strings.Contains(text, victim.name+" is active") {
		t.Errorf("forget of a live member = %d %s, want 422", status, text)
	}
	victim.kill()
	await(t, slack, func() error { return buried([]*testNode{n1, n2}, victim.name) })
	await(t, slack, func() error { // somebody has all partitions again
		if held := metric(t, n1, "bucketring_partitions_held") + metric(t, n2, "bucketring_partitions_held"); held != ring.Partitions {
			return fmt.Errorf("%v partitions are held, want %d", held, ring.Partitions)
		}
		return nil
	})
	if status, text := forget(t, n1, "n33"); status != http.StatusUnprocessableEntity || !strings.Contains(text, `did you mean \"n3\"?`) {
		t.Errorf("forget of nobody = %d %s, want 422 and a guess", status, text)
	}
	for _, n := range []*testNode{n1, n2} {
		if err := expectClosed(t, n, keys, limit); err != nil {
			t.Errorf("before it was forgotten: %v", err)
		}
	}

	out, err := exec.Command("bucketring", "members", "forget", victim.name, "--admin-addr", n2.at("admin")).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "n3 is forgotten by all nodes") {
		t.Fatalf("members forget: %v: %s", err, out)
	}
	for _, key := range keys {
		for i, n := range []*testNode{n1, n2} {
			a := n.ask(t, "/v1/take", map[string]any{"key": key, "limit": limit})
			if want := fmt.Sprint(20 - spent - 1 - i); a.status != http.StatusOK || a.body.Source != "owner" || a.rate("Remaining") != want {
				t.Errorf("take of %q at %s = %s, want it allowed by its owner with %s remaining", key, n.name, a.text, want)
			}
		}
	}
	for _, n := range []*testNode{n1, n2} {
		if v, err := viewOf(n.web); err != nil || v.states[victim.name] != "left" || metric(t, n, "bucketring_guarded_partitions") != 0 {
			t.Errorf("%s sees %v, %v, want %s to have left and no partition closed", n.name, v.states, err, victim.name)
		}
	}
	if status, text := forget(t, n1, victim.name); status != http.StatusOK {
		t.Errorf("forget once more = %d %s, want 200", status, text)
	}
}

// awaitCopied waits until all that a node has counted by now has been copied.
func awaitCopied(t *testing.T, n *testNode) {
	t.Helper()
	counted := time.Now()
	await(t, slack, func() error {
		if lag := metric(t, n, "bucketring_replication_lag_seconds"); lag >= time.Since(counted).Seconds() {
			return fmt.Errorf("the copies are %v s old, and something was counted since", lag)
		}
		return nil
	})
}

// forget asks a node to forget a member.
func forget(t *testing.T, n *testNode, name string) (status int, text string) {
	t.Helper()
	status, body, err := n.admin().send(t.Context(), "POST", "/v1/admin/members/"+name+"/forget", nil)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(body)
}

// expectClosed says which key a node does not refuse for want of its owner.
func expectClosed(t *testing.T, n *testNode, keys []string, limit string) error {
	t.Helper()
	for _, key := range keys {
		d, err := n.web.Take(t.Context(), takeOne(key, limit))
		if err == nil || !strings.Contains(err.Error(), "= 503: ") {
			return fmt.Errorf("Take(%q) at %s = %+v, %v, want it refused with 503", key, n.name, d, err)
		}
	}
	return nil
}
