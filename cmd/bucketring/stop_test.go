// stop_test.go ends nodes by signals.

package main

import (
	"fmt"
	"net/http"
	"slices"
	"syscall"
	"testing"
	"time"
)

// awaitNotReady waits until a node says that it drains.
func awaitNotReady(t *testing.T, n *testNode) time.Duration {
	t.Helper()
	return await(t, slack, func() error {
		for name, door := range map[string]*webDoor{"http": n.web, "admin": n.admin()} {
			status, _, err := door.send(t.Context(), http.MethodGet, "/readyz", nil)
			if err != nil {
				t.Fatalf("GET /readyz on %s: %v, want 503 before the door closes", name, err)
			}
			if status != http.StatusServiceUnavailable {
				return fmt.Errorf("GET /readyz on %s = %d, want 503", name, status)
			}
		}
		return nil
	})
}

// closes reports whether a node closes a caller's connection with its answer.
func closes(t *testing.T, n *testNode) bool {
	t.Helper()
	resp, err := n.web.client.Get(n.web.base + "/v1/take?key=closes&limit=100/h")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("take = %s, want 200", resp.Status)
	}
	return resp.Close
}

// A node that is told to stop says so, goes on answering for those who have not
// heard, and ends well.
func TestTermDrains(t *testing.T) {
	t.Parallel()
	nodes, _ := startCluster(t, 2, exactly...)
	n1, n2 := nodes[0], nodes[1]
	owned := keysByOwner(t, nodes, 2)
	doors := bothDoors(t, n2)
	for _, probe := range []string{"/readyz", "/livez"} {
		if status, text := n2.web.get(t, probe); status != http.StatusOK {
			t.Errorf("GET %s = %d %q, want 200", probe, status, text)
		}
	}
	if closes(t, n2) {
		t.Error("a node that does not drain closes connections")
	}
	if err := n2.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told := time.Now()
	t.Logf("not ready after %v; promised are 100ms", awaitNotReady(t, n2).Round(time.Millisecond))
	if status, text := n2.web.get(t, "/livez"); status != http.StatusOK {
		t.Errorf("GET /livez while draining = %d %q, want 200", status, text)
	}
	if !closes(t, n2) {
		t.Error("a node that drains keeps the connections of callers, who would stay")
	}
	for _, key := range slices.Concat(owned[n1.name], owned[n2.name]) {
		for _, door := range doors {
			d, err := door.Take(t.Context(), takeOne(key, "100/h"))
			if err != nil || !d.Allowed || d.Degraded {
				t.Errorf("Take(%q) while draining = %v, degraded %v, %v, want allowed by an owner", key, d.Allowed, d.Degraded, err)
			}
		}
	}
	if err := n2.awaitEnd(); err != nil {
		t.Fatal(err)
	}
	t.Logf("ended after %v", time.Since(told).Round(time.Millisecond))
	if code := n2.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
	await(t, slack, func() error {
		v, err := viewOf(n1.web)
		if err == nil && (v.states[n2.name] != "left" || v.ring != n1.name) {
			err = fmt.Errorf("n1 sees n2 as %q in the ring %q, want left and not in it", v.states[n2.name], v.ring)
		}
		return err
	})
}

// Whoever asks twice does not want to wait.
func TestSecondTermEndsAtOnce(t *testing.T) {
	t.Parallel()
	nodes, _ := startCluster(t, 2, "--drain-linger", "20s") // alone it would not wait for others
	n := nodes[1]
	if err := n.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitNotReady(t, n) // the first signal has been heard
	if err := n.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told := time.Now()
	if err := n.awaitEnd(); err != nil {
		t.Fatal(err)
	}
	t.Logf("ended after %v", time.Since(told).Round(time.Millisecond))
	status, ok := n.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("%v, want ended by the second signal itself", n.cmd.ProcessState)
	}
}
