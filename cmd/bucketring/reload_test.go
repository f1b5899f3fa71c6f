// reload_test.go changes policies under load, in files and at run time.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const storm = `
apiVersion: limits/v1
namespace: storm
limits:
  - {name: day, key: [user], limit: %d, per: 1d, algorithm: fixed_window}
  - {name: hour, key: [user], limit: 1000000, per: 1h, burst: %d}
`

// A hundred policies in ten seconds under load: no call fails, no count is lost.
func TestReloadStorm(t *testing.T) {
	const swaps, lasting = 100, 10 * time.Second
	dir := policyFolder(t, "1m", map[string]string{"storm.yaml": fmt.Sprintf(storm, 1_000_000, 1_000_000)})
	nodes, _ := startCluster(t, 3, append([]string{"--policies", dir}, exactly...)...)
	ctx, stop := context.WithCancel(t.Context())
	var admitted, calls atomic.Int64
	var load sync.WaitGroup
	for i := range 4 {
		load.Go(func() {
			body, _ := json.Marshal(caller("storm", "user", "u"))
			for no := i; ctx.Err() == nil; no++ {
				status, text, err := nodes[no%3].web.send(context.Background(), "POST", "/v1/take", body)
				var a webAnswer
				if err != nil || status != 200 || json.Unmarshal(text, &a) != nil || a.Degraded {
					t.Errorf("take = %d %s, %v, want it allowed by the owner", status, text, err)
					return
				}
				calls.Add(1)
				admitted.Add(1)
			}
		})
	}
	pace := time.NewTicker(lasting / swaps)
	defer pace.Stop()
	for i := range swaps {
		writePolicy(t, dir, "storm.yaml", fmt.Sprintf(storm, 2_000_000+i, 2_000_000+i))
		if i%10 == 0 { // in between, at once
			if err := nodes[i/10%3].signal(syscall.SIGHUP); err != nil {
				t.Error(err)
			}
		}
		<-pace.C
	}
	stop()
	load.Wait()
	last := fmt.Sprintf(`"limit":%d`, 2_000_000+swaps-1)
	for _, n := range nodes {
		await(t, slack, func() error {
			_, page := n.web.get(t, "/v1/usage?namespace=storm&user=u")
			if !strings.Contains(page, last) {
				return fmt.Errorf("usage at %s is %s, want %s in it", n.name, page, last)
			}
			if want := fmt.Sprintf(`"used":%d,"limit":`, admitted.Load()); !strings.Contains(page, want) {
				return fmt.Errorf("usage at %s is %s, want %s of day", n.name, page, want)
			}
			return nil
		})
	}
	if calls.Load() < 100 {
		t.Errorf("%d calls in %v, want a load", calls.Load(), lasting)
	}
	t.Logf("%d calls, all admitted and counted, during %d swaps", calls.Load(), swaps)
}

func TestBadPolicyKeepsTheOldOne(t *testing.T) {
	dir := policyFolder(t, "1d", map[string]string{"storm.yaml": fmt.Sprintf(storm, 10, 10)})
	nodes, _ := startCluster(t, 2, append([]string{"--policies", dir}, exactly...)...)
	if a := nodes[0].ask(t, "/v1/take", caller("storm", "user", "u")); a.rate("Remaining") != "9" {
		t.Fatalf("take = %s, want 9 remaining", a.text)
	}
	_, before := nodes[0].web.get(t, "/v1/members")
	writePolicy(t, dir, "storm.yaml", strings.Replace(fmt.Sprintf(storm, 20, 20), "algorithm", "algoritm", 1))
	writePolicy(t, dir, "more.yaml", strings.Replace(shortLeases, "namespace: work", "namespace: more", 1))
	const wrong = `storm.yaml:5:50: unknown key \"algoritm\"`
	for _, n := range nodes {
		await(t, slack, func() error {
			_, page := n.admin().get(t, "/v1/admin/policies")
			if !strings.Contains(page, wrong) || !strings.Contains(page, `"namespace":"more"`) {
				return fmt.Errorf("policies of %s are %s, want the error of storm.yaml, and more", n.name, page)
			}
			_, metrics := n.admin().get(t, "/metrics")
			if !strings.Contains(metrics, "bucketring_policy_reload_success 0\n") {
				return fmt.Errorf("metrics of %s do not show the failed load", n.name)
			}
			if !strings.Contains(n.log(), "did you mean") {
				return fmt.Errorf("the log of %s does not tell", n.name)
			}
			return nil
		})
	}
	if a := nodes[1].ask(t, "/v1/take", caller("storm", "user", "u")); a.rate("Remaining") != "8" || a.rate("Limit") != "10" {
		t.Errorf("take = %s, want the old limit with 8 remaining", a.text)
	}
	if a := nodes[1].ask(t, "/v1/take", caller("more", "user", "u")); len(a.body.Leases) != 1 {
		t.Errorf("take of the policy beside the bad one = %s, want a lease", a.text)
	}
	writePolicy(t, dir, "storm.yaml", fmt.Sprintf(storm, 20, 20))
	await(t, slack, func() error {
		if a := nodes[0].ask(t, "/v1/take", caller("storm", "user", "u")); a.rate("Limit") != "20" {
			return fmt.Errorf("take = %s, want the new limit", a.text)
		}
		return nil
	})
	await(t, slack, func() error {
		_, after := nodes[0].web.get(t, "/v1/members")
		if hash := policyHashes(after); len(hash) != 1 || hash[0] == policyHashes(before)[0] {
			return fmt.Errorf("hashes of the policies are %v, before %v, want one other", hash, policyHashes(before))
		}
		return nil
	})
}

// A file that others could write is not loaded, however good it is.
func TestPolicyOfOthersKeepsTheOldOne(t *testing.T) {
	dir := policyFolder(t, "1d", map[string]string{"storm.yaml": fmt.Sprintf(storm, 10, 10)})
	nodes, _ := startCluster(t, 1, append([]string{"--policies", dir}, exactly...)...)
	name := filepath.Join(dir, "storm.yaml")
	writePolicy(t, dir, ".storm", fmt.Sprintf(storm, 20, 20))
	if err := errors.Join(os.Chmod(filepath.Join(dir, ".storm"), 0o646), os.Rename(filepath.Join(dir, ".storm"), name)); err != nil {
		t.Fatal(err)
	}
	cure := "run: chmod o-w " + name
	await(t, slack, func() error {
		if _, page := nodes[0].admin().get(t, "/v1/admin/policies"); !strings.Contains(page, cure) {
			return fmt.Errorf("policies are %s, want %s", page, cure)
		}
		return nil
	})
	if metric(t, nodes[0], "bucketring_policy_reload_success") != 0 || !strings.Contains(nodes[0].log(), cure) {
		t.Errorf("neither metric nor log tell:\n%s", nodes[0].log())
	}
	status, text, err := nodes[0].admin().send(t.Context(), "POST", "/v1/admin/reload", nil)
	if err != nil || status/100 == 2 || !strings.Contains(string(text), cure) {
		t.Errorf("reload = %d %s, %v, want it refused with %s", status, text, err, cure)
	}
	if a := nodes[0].ask(t, "/v1/take", caller("storm", "user", "u")); a.rate("Limit") != "10" {
		t.Errorf("take = %s, want the old limit", a.text)
	}
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	await(t, slack, func() error {
		if a := nodes[0].ask(t, "/v1/take", caller("storm", "user", "u")); a.rate("Limit") != "20" {
			return fmt.Errorf("take = %s, want the new limit", a.text)
		}
		return nil
	})
}

// policyHashes are the different hashes that a members page shows.
func policyHashes(page string) (all []string) {
	var m struct {
		Members []struct {
			PolicyHash string `json:"policy_hash"`
		}
	}
	_ = json.Unmarshal([]byte(page), &m)
	for _, one := range m.Members {
		if !strings.Contains(strings.Join(all, " "), one.PolicyHash) {
			all = append(all, one.PolicyHash)
		}
	}
	return all
}

// What is put at one node reaches all, and those that join later.
func TestPutReachesEveryNode(t *testing.T) {
	dir := policyFolder(t, "1d", nil)
	nodes, join := startCluster(t, 3, append([]string{"--policies", dir}, exactly...)...)
	put := func(n *testNode, method, path, body string) {
		t.Helper()
		if status, text, err := n.admin().send(t.Context(), method, path, []byte(body)); status/100 != 2 {
			t.Fatalf("%s %s = %d %s, %v, want it done", method, path, status, text, err)
		}
	}
	put(nodes[0], "PATCH", "/v1/admin/tables/voicedub/api_keys", `{"k1":{"user":"u1"},"k2":{"user":"u1"}}`)
	put(nodes[1], "PATCH", "/v1/admin/tables/voicedub/api_keys", `{"k3":{"user":"u1"}}`)
	put(nodes[2], "PUT", "/v1/admin/overrides/uberduck", `[{"match":{"account":"acct_new"},"limits":{"requests-minute":700,"requests-day":9000,"characters-per-request":1}}]`)
	put(nodes[1], "PUT", "/v1/admin/policies/work", shortLeases)

	for path, want := range map[string]string{
		"/v1/admin/tables/voicedub/api_key":  `did you mean \"api_keys\"?`,
		"/v1/admin/tables/voicedup/api_keys": `did you mean \"voicedub\"?`,
	} {
		if status, text, err := nodes[0].admin().send(t.Context(), "PATCH", path, []byte(`{"k9":{"user":"u1"}}`)); status/100 != 4 || !strings.Contains(string(text), want) {
			t.Errorf("PATCH %s = %d %s, %v, want a refusal with %s", path, status, text, err, want)
		}
	}

	nodes = append(nodes, startNode(t, "n4", join...))
	awaitOneRing(t, slack, nodes...)
	last := nodes[3]
	await(t, slack, func() error {
		if a := last.ask(t, "/v1/take", caller("uberduck", "account", "acct_new", "plan", "enterprise")); a.rate("Limit") != "700" {
			return fmt.Errorf("take at n4 = %s, want the override", a.text)
		}
		return nil
	})
	for i, key := range []string{"k1", "k2", "k3", "k1"} {
		a := nodes[3-i].ask(t, "/v1/take", caller("voicedub", "api_key", key, "method", "POST"))
		if want := fmt.Sprint(499 - i); a.rate("Remaining") != want {
			t.Errorf("take %d with %s = %s, want %s remaining in the pool of u1", i+1, key, a.text, want)
		}
	}
	for _, n := range nodes {
		if a := n.ask(t, "/v1/take", caller("work", "user", "u")); len(a.body.Leases) != 1 {
			t.Errorf("take of the policy that was put = %s at %s, want a lease", a.text, n.name)
		}
	}
	// A row that is taken away is gone everywhere, and a reload keeps what was put.
	put(last, "PATCH", "/v1/admin/tables/voicedub/api_keys", `{"k2":null}`)
	put(nodes[0], "POST", "/v1/admin/reload", "")
	put(nodes[0], "PUT", "/-/reload", "")
	if a := nodes[0].ask(t, "/v1/take", caller("voicedub", "api_key", "k2", "method", "POST")); a.rate("Remaining") != "499" {
		t.Errorf("take with a key that was taken away = %s, want it counted for nobody", a.text)
	}
	if a := nodes[0].ask(t, "/v1/take", caller("voicedub", "api_key", "k3", "method", "POST")); a.rate("Remaining") != "495" {
		t.Errorf("take with k3 after a reload = %s, want the pool of u1", a.text)
	}
}
