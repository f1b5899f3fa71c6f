// rotate_test.go changes the gossip keys of nodes that run.

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// keyringDo runs a keyring command on a file and returns what it prints.
func keyringDo(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("bucketring", append([]string{"keyring"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("keyring %s: %v:\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ringVersions are the numbers of the rings that nodes use, with how many members each sees
// alive: what a rotation must not change.
func ringVersions(t *testing.T, nodes []*testNode) string {
	t.Helper()
	var all []string
	for _, n := range nodes {
		var m membersAnswer
		if err := n.web.page("/v1/members", &m); err != nil {
			t.Fatal(err)
		}
		states := map[string]string{}
		for _, one := range m.Members {
			states[one.Name] = one.State
		}
		all = append(all, fmt.Sprint(n.name, " ring ", m.RingVersion, " ", states))
	}
	return strings.Join(all, "; ")
}

// Add, use, remove, each taken in by one node by itself, by one on SIGHUP and by one that is
// asked to: nobody is missed, no ring is made, and the old key alone opens nothing any more.
func TestRotateLive(t *testing.T) {
	t.Parallel()
	nodes, join := startCluster(t, 3)
	file := join[1]
	old := filepath.Join(t.TempDir(), "old.key")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, before, 0o600); err != nil {
		t.Fatal(err)
	}
	rings := ringVersions(t, nodes)
	took := func() {
		t.Helper()
		if err := nodes[1].signal(syscall.SIGHUP); err != nil {
			t.Error(err)
		}
		if status, text, err := nodes[2].admin().send(t.Context(), "POST", "/v1/admin/reload", nil); status != http.StatusOK {
			t.Errorf("reload = %d %s, %v, want 200", status, text, err)
		}
		await(t, slack, func() error {
			for _, n := range nodes {
				if out, err := exec.Command("bucketring", "keyring", "list", file, "--addr", n.at("http")).CombinedOutput(); err != nil || !strings.Contains(string(out), "3 of 3 nodes have these") {
					return fmt.Errorf("keyring list at %s: %v: %s", n.name, err, out)
				}
			}
			return nil
		})
	}
	took()
	for _, step := range [][]string{{"add", file}, {"use", file, "2"}, {"remove", file, "2"}} {
		keyringDo(t, step...)
		took()
		t.Log(strings.Join(step[:1], " "), ringVersions(t, nodes))
	}
	if now := ringVersions(t, nodes); now != rings {
		t.Errorf("after the rotation %s, want as before: %s", now, rings)
	}
	for _, n := range nodes {
		if metric(t, n, "bucketring_gossip_key_mismatch") != 0 || metric(t, n, "bucketring_proof_reload_success", `what="keys"`) != 1 {
			t.Errorf("%s shows members with other keys, or a bad file", n.name)
		}
	}
	late := startNode(t, "late", "--key-file", old, "--cluster-label", "test", "--cluster-join", nodes[0].at("gossip"), "--cluster-bootstrap-after", "2s")
	if v, err := viewOf(late.web); err != nil || len(v.states) != 1 {
		t.Errorf("a node with the old key sees %v, %v, want itself alone", v.states, err)
	}
	fourth := startNode(t, "n4", join...)
	awaitOneRing(t, slack, append(nodes, fourth)...)
}

// A bad file, or one of another cluster, changes nothing and is told of; the next good one is
// taken in.
func TestBadKeyFileKeepsTheOldKeys(t *testing.T) {
	t.Parallel()
	file := newKeyFile(t)
	n := startNode(t, "n1", "--key-file", file, "--cluster-label", "test")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	print := gossipKeys(t, n)
	other, err := os.ReadFile(newKeyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	for i, bad := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"gossip AAAA\n", 0o600, ":1: the key is not the base64 of 32 bytes"},
		{string(other), 0o600, "the secret is another one"},
		{string(text), 0o644, "chmod 600"},
	} {
		replaceFile(t, file, bad.text, bad.mode)
		status, answer, err := n.admin().send(t.Context(), "POST", "/v1/admin/reload", nil)
		if status != http.StatusUnprocessableEntity || !strings.Contains(string(answer), bad.want) {
			t.Errorf("reload = %d %s, %v, want 422 with %q", status, answer, err, bad.want)
		}
		await(t, slack, func() error { // what a process logs is read a little later
			if told := strings.Count(n.log(), "the one before stays in force"); told <= i {
				return fmt.Errorf("the log tells of %d bad files, want of %d", told, i+1)
			}
			return nil
		})
		if strings.Contains(n.log()+string(answer), "AAAA") {
			t.Error("the log or the answer shows a key")
		}
		if now := gossipKeys(t, n); now != print || metric(t, n, "bucketring_proof_reload_success", `what="keys"`) != 0 {
			t.Errorf("the keys are %s now, want %s as before and a metric that says so", now, print)
		}
	}
	replaceFile(t, file, string(text), 0o600)
	keyringDo(t, "add", file)
	await(t, slack, func() error { // by itself
		if now := gossipKeys(t, n); now == print || metric(t, n, "bucketring_proof_reload_success", `what="keys"`) != 1 {
			return fmt.Errorf("the keys are %s, want others than %s", now, print)
		}
		return nil
	})
}

// A file that leaves a step out is taken in, and the log says what that may cost.
func TestHurriedRotationIsTold(t *testing.T) {
	t.Parallel()
	file := newKeyFile(t)
	n := startNode(t, "n1", "--key-file", file, "--cluster-label", "test")
	print := gossipKeys(t, n)
	const hurried = "a step of the key rotation was left out"
	keyringDo(t, "add", file)
	await(t, slack, func() error {
		if gossipKeys(t, n) == print {
			return fmt.Errorf("the keys are %s still", print)
		}
		return nil
	})
	if strings.Contains(n.log(), hurried) {
		t.Errorf("after an add the log has %q", hurried)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(newKeyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	gossip := regexp.MustCompile(`(?m)^gossip .*$`)
	replaceFile(t, file, string(gossip.ReplaceAll(text, gossip.Find(other))), 0o600)
	await(t, slack, func() error {
		if !strings.Contains(n.log(), hurried) {
			return fmt.Errorf("with another key alone the log has no %q", hurried)
		}
		return nil
	})
}

// replaceFile puts another file in the place of one.
func replaceFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	next := name + ".next"
	if err := os.WriteFile(next, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, name); err != nil {
		t.Fatal(err)
	}
}

// gossipKeys is the fingerprint of a node's keys as it shows it.
func gossipKeys(t *testing.T, n *testNode) string {
	t.Helper()
	_, page := n.web.get(t, "/v1/members")
	var m membersAnswer
	if err := json.Unmarshal([]byte(page), &m); err != nil || len(m.Members) != 1 || m.Members[0].GossipKeys == "" {
		t.Fatalf("members are %s, %v, want one with gossip keys", page, err)
	}
	return m.Members[0].GossipKeys
}
