// guarded_test.go asks what was used while a node is missing that counted it.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
	"time"
)

const storagePolicy = `apiVersion: limits/v1
namespace: storage
limits:
  - {name: stored, kind: level, key: [user], limit: 100, unit: bytes}
  - {name: calls, key: [user], limit: 50, per: 1d}
`

// A usagePage is what GET /v1/usage answers.
type usagePage struct {
	Limits []struct {
		Name string
		Used int64
	}
	Source   string
	Degraded bool
	Detail   string
}

func usageOf(t *testing.T, n *testNode, user string) (status int, page usagePage) {
	t.Helper()
	resp, err := n.web.client.Get(n.web.base + "/v1/usage?namespace=storage&user=" + user)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, page
}

// TestUsageIsNeverInvented: once a node is gone, what it has counted is shown from the copies,
// and that it is; until somebody has them, no usage is told. Limits that stay closed meanwhile
// change nothing about that.
func TestUsageIsNeverInvented(t *testing.T) {
	dir := t.TempDir()
	writePolicy(t, dir, "storage.yaml", storagePolicy)
	nodes, _ := startCluster(t, 3, "--policies", dir, "--forward-budget", "5s")
	const users = 30
	for i := range users {
		name := fmt.Sprint("u", i)
		level := caller("storage", "user", name)
		level["set"] = 76
		if a := nodes[0].ask(t, "/v1/level", level); a.status != http.StatusOK {
			t.Fatalf("level of %s = %d %s", name, a.status, a.text)
		}
		if a := nodes[0].ask(t, "/v1/take", caller("storage", "user", name)); a.status != http.StatusOK {
			t.Fatalf("take of %s = %d %s", name, a.status, a.text)
		}
	}
	counted := time.Now()
	await(t, slack, func() error { return copied(t, nodes, counted) })
	nodes[1].kill()
	survivors := []*testNode{nodes[0], nodes[2]}
	await(t, 15*time.Second, func() error {
		checkUsage(t, survivors, users)
		return buried(survivors, nodes[1].name)
	})
	closed := 0
	await(t, slack, func() (err error) {
		closed, err = checkUsage(t, survivors, users)
		return err
	})
	if closed == 0 {
		t.Error("no user's level was closed, want those that the missing node may have counted")
	}
	checkUsageCommand(t, survivors[0], users)
}

var replicationLag = regexp.MustCompile(`(?m)^bucketring_replication_lag_seconds (\S+)$`)

// copied says which node has not copied yet what it had counted by then.
func copied(t *testing.T, nodes []*testNode, by time.Time) error {
	t.Helper()
	for _, n := range nodes {
		asked := time.Now()
		_, text := n.admin().get(t, "/metrics")
		found := replicationLag.FindStringSubmatch(text)
		if found == nil {
			t.Fatalf("%s does not tell how old its copies are", n.name)
		}
		if lag, err := strconv.ParseFloat(found[1], 64); err != nil || lag >= asked.Sub(by).Seconds() {
			return fmt.Errorf("the copies of %s are %s s old, %v", n.name, found[1], err)
		}
	}
	return nil
}

// checkUsage asks all users' usage of some nodes. It says whose is not told, and of how many a
// part is closed.
func checkUsage(t *testing.T, nodes []*testNode, users int) (closed int, err error) {
	t.Helper()
	for i := range users {
		for _, n := range nodes {
			name := fmt.Sprint("u", i)
			status, page := usageOf(t, n, name)
			if status == http.StatusServiceUnavailable && page.Detail != "" {
				err = fmt.Errorf("%s does not tell the usage of %s: %s", n.name, name, page.Detail)
				continue
			}
			if status != http.StatusOK || len(page.Limits) != 2 || page.Limits[0].Used != 77 || page.Limits[1].Used != 1 {
				t.Fatalf("usage of %s at %s = %d %+v, want 77 stored and 1 call, or that nobody knows", name, n.name, status, page)
			}
			if page.Degraded != (page.Source == "replica") {
				t.Errorf("usage of %s = source %q with degraded %v", name, page.Source, page.Degraded)
			}
			if page.Degraded {
				closed++
			}
		}
	}
	return closed, err
}

// checkUsageCommand: the command says so too, and exits with 4.
func checkUsageCommand(t *testing.T, n *testNode, users int) {
	t.Helper()
	for i := range users {
		name := fmt.Sprint("u", i)
		if _, page := usageOf(t, n, name); !page.Degraded {
			continue
		}
		out, err := exec.Command("bucketring", "usage", "storage", "user="+name, "--addr", n.at("http")).CombinedOutput()
		code := 0
		if exit, ok := err.(*exec.ExitError); ok {
			code = exit.ExitCode()
		}
		if code != exitDegraded {
			t.Errorf("usage of %s exits with %d, want %d:\n%s", name, code, exitDegraded, out)
		}
		return
	}
	t.Error("no usage was degraded")
}
