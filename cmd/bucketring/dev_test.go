// dev_test.go does what the first minute of a new user does.

package main

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startDev runs a node as developers do, on free ports.
func startDev(t *testing.T, args ...string) *testNode {
	t.Helper()
	line := []string{"bucketring", "dev", "--node-name", "dev", "--log-format", "json",
		"--listen-http", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0",
		"--listen-resp", "127.0.0.1:0"}
	n := &testNode{running: start(t, append(line, args...)...), name: "dev"}
	if err := n.awaitReady(); err != nil {
		t.Fatal(err)
	}
	n.web = &webDoor{base: "http://" + n.at("http"), client: newHTTP(t)}
	return n
}

func TestFourTakesWithCurl(t *testing.T) {
	n := startDev(t)
	for i, want := range []int{200, 200, 200, 429} {
		checkFourth(t, n, i, want)
	}
	t.Run("curl", func(t *testing.T) {
		curl, err := exec.LookPath("curl")
		if err != nil {
			t.Skip("there is no curl here; the same calls are made above")
		}
		for i, want := range []string{"200", "200", "200", "429"} {
			url := n.web.base + "/v1/take?key=bob&limit=3/m"
			out, err := exec.Command(curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", url).Output()
			if err != nil || string(out) != want {
				t.Errorf("curl %s, time %d = %s, %v, want %s", url, i+1, out, err, want)
			}
		}
	})
	t.Run("welcome", func(t *testing.T) {
		want := "curl -i '" + n.web.base + "/v1/take?key=alice&limit=3/m'"
		await(t, slack, func() error { return containing(n.log(), want) })
	})
}

// checkFourth takes the i-th token of three, and looks at all that the answer
// says.
func checkFourth(t *testing.T, n *testNode, i, want int) {
	t.Helper()
	began := time.Now()
	resp, err := n.web.client.Get(n.web.base + "/v1/take?key=alice&limit=3/m")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct {
		Allowed                             bool
		Limit, Remaining, Retry             int64
		ResetAt                             int64 `json:"reset_at"`
		RetryAfter                          int64 `json:"retry_after"`
		Degraded                            bool
		Source, Node, Owner, Policy, Unused string
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		t.Fatal(err)
	}
	remaining := int64(max(2-i, 0))
	if resp.StatusCode != want || a.Allowed != (want == 200) || a.Limit != 3 || a.Remaining != remaining {
		t.Errorf("take %d = %d, %+v, want %d with limit 3 and %d remaining", i+1, resp.StatusCode, a, want, remaining)
	}
	if a.Source != "owner" || a.Degraded || a.Node != "dev" || a.Owner != "dev" || a.Policy != "inline" {
		t.Errorf("take %d = %+v, want decided by dev itself as inline", i+1, a)
	}
	wantHeader := map[string]string{
		"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": strconv.FormatInt(remaining, 10),
		"X-RateLimit-Reset": strconv.FormatInt(a.ResetAt, 10), "Content-Type": "application/json",
	}
	for name, value := range wantHeader {
		if got := resp.Header.Get(name); got != value {
			t.Errorf("take %d: header %s = %q, want %q", i+1, name, got, value)
		}
	}
	// A minute gives three tokens: each one that is missing takes 20 s.
	if left := time.Unix(a.ResetAt, 0).Sub(began); left <= 0 || left > time.Duration(20*min(i+1, 3)+1)*time.Second {
		t.Errorf("take %d: reset in %v, want at most %d s", i+1, left, 20*min(i+1, 3))
	}
	checkRetryAfter(t, resp.Header.Get("Retry-After"), want)
}

func checkRetryAfter(t *testing.T, text string, status int) {
	t.Helper()
	if status == http.StatusOK {
		if text != "" {
			t.Errorf("Retry-After = %q on an allowed take, want none", text)
		}
		return
	}
	if seconds, err := strconv.Atoi(text); err != nil || seconds < 1 || seconds > 20 {
		t.Errorf("Retry-After = %q, want 1 to 20", text)
	}
}

// containing says if text lacks what it must have.
func containing(text string, wants ...string) error {
	for _, want := range wants {
		if !strings.Contains(text, want) {
			return &missing{want, text}
		}
	}
	return nil
}

type missing struct{ what, text string }

func (m *missing) Error() string {
	text := m.text
	if len(text) > 3000 {
		text = text[:3000] + "\n…"
	}
	return strconv.Quote(m.what) + " is missing in:\n" + text
}
