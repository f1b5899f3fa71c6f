// policies_test.go asks three processes about the five policies, callers' requests
// spread over them. The exact numbers of all vectors are tested on a virtual clock;
// here it is the real one, so windows are made long, or short enough to wait for.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// policyFolder copies the five policies, with other windows than a minute, and adds
// files by name.
func policyFolder(t *testing.T, minute string, more map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"plaud", "voicedub", "uberduck", "lesan", "aionvision"} {
		text, err := os.ReadFile("../../deploy/policies/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		writePolicy(t, dir, name+".yaml", strings.ReplaceAll(string(text), "per: 1m\n", "per: "+minute+"\n"))
	}
	for name, text := range more {
		writePolicy(t, dir, name, text)
	}
	return dir
}

// writePolicy puts a file in place at once, as an editor does.
func writePolicy(t *testing.T, dir, name, text string) {
	t.Helper()
	fresh := filepath.Join(dir, "."+name+".new")
	if err := os.WriteFile(fresh, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// An answered is what came back over HTTP.
type answered struct {
	status int
	header http.Header
	body   struct {
		Allowed     bool
		Source      string
		Policy      string
		Leases      []string
		Reservation string
		Response    struct {
			Status  int
			Headers map[string]string
			Body    json.RawMessage
		}
	}
	text string
}

// ask posts a request to one node.
func (n *testNode) ask(t *testing.T, path string, body any) answered {
	t.Helper()
	payload, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := n.web.client.Post(n.web.base+path, "application/json", bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var text bytes.Buffer
	if _, err := text.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	a := answered{status: resp.StatusCode, header: resp.Header, text: text.String()}
	if err := json.Unmarshal(text.Bytes(), &a.body); err != nil {
		t.Fatalf("%s answers %d %s: %v", path, a.status, a.text, err)
	}
	return a
}

// rate reads one X-RateLimit header, which keeps its customary capitals.
func (a *answered) rate(name string) string { return a.header.Get("X-RateLimit-" + name) }

// caller is the attributes of one caller: name, value, name, value.
func caller(namespace string, attributes ...string) map[string]any {
	all := map[string]string{}
	for i := 0; i+1 < len(attributes); i += 2 {
		all[attributes[i]] = attributes[i+1]
	}
	return map[string]any{"namespace": namespace, "attributes": all}
}

// A vector is some calls in a row by one caller, and what the last is answered.
type vector struct {
	name      string
	request   map[string]any
	times     int
	status    int
	limit     string // headers; empty for none
	remaining string
	retry     string // "some", or empty for none
	body      string // part of what the application passes on; empty if it is allowed
}

// vectors are the main ones of the five pages, in an order in which each builds on
// those before it.
var vectors = []vector{
	{"P1", caller("plaud", "client", "c1", "user", "u1", "plan", "standard"), 10, 200, "10", "0", "", ""},
	{"P2", caller("plaud", "client", "c1", "user", "u1", "plan", "standard"), 1, 429, "10", "0", "some", `"error_code":"RATE_LIMIT_EXCEEDED"`},
	{"P7", caller("plaud", "client", "c2", "user", "u1", "plan", "standard"), 1, 429, "10", "0", "some", `"detail":"Rate limit exceeded"`},
	{"P7: c2 was not charged", caller("plaud", "client", "c2", "user", "u2", "plan", "standard"), 1, 200, "10", "9", "", ""},
	{"P8", caller("plaud", "ip", "127.0.0.9"), 10, 200, "10", "0", "", ""},
	{"P8: the 11th", caller("plaud", "ip", "127.0.0.9"), 1, 429, "10", "0", "some", "Rate limit exceeded"},
	{"P11", caller("plaud", "client", "c3", "plan", "standard", "path", "/api/files/upload-s3/a", "content_length", "500000001"), 2, 422, "10", "10", "", `"limit":500000000`},
	{"P11: just fits", caller("plaud", "client", "c3", "plan", "standard", "path", "/api/files/upload-s3/a", "content_length", "500000000"), 1, 200, "10", "9", "", ""},

	{"V1", caller("voicedub", "user", "u1", "method", "POST"), 2, 200, "500", "498", "", ""},
	{"V2", caller("voicedub", "user", "u1", "method", "POST"), 498, 200, "500", "0", "", ""},
	{"V2: one more", caller("voicedub", "user", "u1", "method", "PATCH"), 1, 429, "500", "0", "some", `"code":"rate_limit_exceeded"`},
	{"V3", caller("voicedub", "user", "u1", "method", "GET"), 1, 200, "10000", "9999", "", ""},
	{"V3: global counts admitted calls only", caller("voicedub", "user", "u1", "method", "HEAD"), 1, 200, "15000", "14498", "", ""},
	{"V10", caller("voicedub", "user", "u2", "method", "POST"), 1, 200, "500", "499", "", ""},

	{"U1", caller("uberduck", "account", "a1", "plan", "free"), 5, 200, "5", "0", "", ""},
	{"U2", caller("uberduck", "account", "a1", "plan", "free"), 1, 429, "5", "0", "some", `"code":"rate_limit_exceeded"`},
	{"U5", caller("uberduck", "account", "a2", "plan", "free", "method", "POST", "characters", "10001"), 1, 413, "5", "5", "", "your plan allows 10000 per request"},
	{"U5: just fits", caller("uberduck", "account", "a2", "plan", "free", "method", "POST", "characters", "10000"), 1, 200, "5", "4", "", ""},
	{"U7", caller("uberduck", "account", "acct_bigco", "plan", "enterprise"), 3, 200, "600", "597", "", ""},
	{"U7: another account", caller("uberduck", "account", "acct_small", "plan", "enterprise"), 1, 429, "0", "0", "", "rate_limit_exceeded"},

	{"L3", caller("lesan", "api_key", "A", "op", "transcribe"), 10, 200, "60", "50", "", ""},
	{"L3: the 11th job", caller("lesan", "api_key", "A", "op", "transcribe"), 1, 429, "10", "0", "some", `"retry_after":1`},
	{"L7", caller("lesan", "api_key", "A", "op", "batch", "files", "101"), 1, 413, "60", "50", "", "batch-files is 101; the maximum is 100"},

	{"A1", caller("aionvision", "account", "a1", "plan", "starter", "auth", "api_key"), 30, 200, "30", "0", "", ""},
	{"A1: the 31st", caller("aionvision", "account", "a1", "plan", "starter", "auth", "api_key"), 1, 429, "30", "0", "some", "Too many requests (requests-minute)"},
	{"A2", caller("aionvision", "account", "a1", "plan", "starter", "auth", "session"), 100, 200, "", "", "", ""},
	{"A4", caller("aionvision", "account", "a2", "plan", "starter", "auth", "session", "op", "upload"), 20, 200, "", "", "", ""},
	{"A4: the 21st upload", caller("aionvision", "account", "a2", "plan", "starter", "auth", "session", "op", "upload"), 1, 429, "20", "0", "some", "concurrent-uploads"},
	{"A5", caller("aionvision", "account", "a3", "plan", "starter", "auth", "api_key", "path", "/upload/stream-batch", "files", "21"), 1, 413, "30", "30", "", "batch-upload-files: 21 exceeds 20 files"},
	{"A8", caller("aionvision", "account", "a4", "plan", "starter", "auth", "session", "op", "upload", "file_bytes", "25000000000"), 1, 200, "", "", "", ""},
	{"A8: a byte more", caller("aionvision", "account", "a4", "plan", "starter", "auth", "session", "op", "upload", "file_bytes", "1"), 1, 429, "25000000000", "0", "", "Too many requests (storage)"},
	{"A10", caller("aionvision", "account", "acct_enterprise_7", "plan", "enterprise", "auth", "api_key"), 1, 200, "2000", "1999", "", ""},
	{"free has no API", caller("aionvision", "account", "a5", "plan", "free", "auth", "api_key"), 1, 403, "", "", "", "API keys are available from the STARTER plan"},
}

// check compares the last answer.
func (v *vector) check(t *testing.T, a answered) {
	t.Helper()
	retry := a.header.Get("Retry-After")
	if a.status != v.status || a.rate("Limit") != v.limit || a.rate("Remaining") != v.remaining || (retry != "") != (v.retry != "") {
		t.Errorf("%s = %d, limit %q, remaining %q, Retry-After %q, want %d, %q, %q and %q:\n%s",
			v.name, a.status, a.rate("Limit"), a.rate("Remaining"), retry, v.status, v.limit, v.remaining, v.retry, a.text)
	}
	if a.body.Source != "owner" || a.body.Allowed != (a.status == 200) || a.body.Allowed == (a.body.Response.Status != 0) {
		t.Errorf("%s is answered by %s, allowed %v, with response %d, want the owner, and a response exactly for a denial",
			v.name, a.body.Source, a.body.Allowed, a.body.Response.Status)
	}
	if !strings.Contains(string(a.body.Response.Body), v.body) || v.body == "" && a.body.Response.Body != nil {
		t.Errorf("%s gives the application %s, want a body with %s", v.name, a.body.Response.Body, v.body)
	}
}

func TestFivePoliciesOnThreeNodes(t *testing.T) {
	nodes, _ := startCluster(t, 3, append([]string{"--policies", policyFolder(t, "1d", nil)}, exactly...)...)
	if left := 24*time.Hour - time.Duration(time.Now().UnixNano()%int64(24*time.Hour)); left < 2*time.Minute {
		t.Logf("a day ends in %v: windows of this test may end with it", left)
	}
	turn := 0
	for _, v := range vectors {
		var last answered
		for i := range v.times {
			turn++
			last = nodes[turn%3].ask(t, "/v1/take", v.request)
			if i < v.times-1 && !last.body.Allowed && v.status == 200 {
				t.Fatalf("%s: call %d of %d = %d %s, want it allowed", v.name, i+1, v.times, last.status, last.text)
			}
		}
		v.check(t, last)
	}
	// L1: two of the jobs are settled through other nodes than took them, and released.
	for i, cost := range []string{"30.0", "15.2"} {
		job := nodes[i].ask(t, "/v1/take", caller("lesan", "api_key", "B", "op", "transcribe"))
		settled := nodes[(i+1)%3].ask(t, "/v1/settle", map[string]any{"reservation": job.body.Reservation, "cost": json.Number(cost)})
		if settled.status != 200 {
			t.Errorf("settle = %d %s, want 200", settled.status, settled.text)
		}
		release := fmt.Appendf(nil, `{"leases":[%q]}`, job.body.Leases[0])
		if status, text, err := nodes[(i+2)%3].web.send(t.Context(), "POST", "/v1/release", release); status != 200 || !strings.Contains(string(text), `"ok":true`) {
			t.Errorf("release = %d %s, %v, want the lease reached", status, text, err)
		}
	}
	_, page := nodes[1].web.get(t, "/v1/usage?namespace=lesan&api_key=B&render=policy")
	for _, want := range []string{`"requests_used":2,`, `"concurrent_jobs":0,`, `"daily_minutes_used":45.2,`, `"daily_minutes_limit":500}`} {
		if !strings.Contains(page, want) {
			t.Errorf("usage page %s has no %s", page, want)
		}
	}
}

// Waiting as long as Retry-After says is enough, in real time.
func TestRetryAfterIsEnough(t *testing.T) {
	nodes, _ := startCluster(t, 3, append([]string{"--policies", policyFolder(t, "2s", nil)}, exactly...)...)
	for i, request := range []map[string]any{
		caller("plaud", "client", "c1", "user", "u1"), caller("uberduck", "account", "a1", "plan", "free"),
		caller("lesan", "api_key", "A"), caller("aionvision", "account", "a1", "plan", "starter", "auth", "api_key"),
	} {
		turn := i
		for range 3 { // rounds
			var denied answered
			for denied = nodes[turn%3].ask(t, "/v1/take", request); denied.body.Allowed; turn++ {
				denied = nodes[turn%3].ask(t, "/v1/take", request)
			}
			seconds, err := strconv.Atoi(denied.header.Get("Retry-After"))
			if err != nil || seconds < 1 || seconds > 2 {
				t.Fatalf("%v: Retry-After %q, want 1 or 2 seconds: %s", request, denied.header.Get("Retry-After"), denied.text)
			}
			time.Sleep(time.Duration(seconds) * time.Second) // what is promised
			if again := nodes[(turn+1)%3].ask(t, "/v1/take", request); !again.body.Allowed {
				t.Errorf("%v after %d s = %d %s, want it allowed", request, seconds, again.status, again.text)
			}
		}
	}
}

const shortLeases = `
apiVersion: limits/v1
namespace: work
limits:
  - {name: jobs, kind: concurrency, key: [user], limit: 10, lease: {ttl: 2s}}
`

func TestLeasesThroughThreeProcesses(t *testing.T) {
	dir := policyFolder(t, "1m", map[string]string{"work.yaml": shortLeases})
	nodes, _ := startCluster(t, 3, append([]string{"--policies", dir}, exactly...)...)
	request := caller("work", "user", "u")
	answers := make(chan answered, 200)
	began := time.Now()
	for i := range cap(answers) {
		go func() { answers <- nodes[i%3].ask(t, "/v1/take", request) }()
	}
	admitted, leases := 0, map[string]bool{}
	for range cap(answers) {
		a := <-answers
		if a.body.Allowed {
			admitted++
			leases[a.body.Leases[0]] = true
		}
	}
	if took := time.Since(began); took < 2*time.Second && (admitted != 10 || len(leases) != 10) {
		t.Errorf("%d of 200 acquires admitted with %d leases in %v, want exactly 10", admitted, len(leases), took)
	} else if took >= 2*time.Second {
		t.Logf("200 acquires took %v, longer than a lease lives: %d were admitted", took, admitted)
	}
	// All holders are dead: nobody renews.
	took := await(t, slack, func() error {
		if a := nodes[1].ask(t, "/v1/take", request); !a.body.Allowed {
			return fmt.Errorf("take = %s", a.text)
		}
		return nil
	})
	t.Logf("a slot was free %v after the last acquire, with a ttl of 2s", took)
}
