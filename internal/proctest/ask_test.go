// ask_test.go asks one node over HTTP, as any client would.

package proctest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// deadline is when a verdict is late: with -strict no caller waits any longer.
const deadline = time.Second

// patience is how long callers wait.
func patience() time.Duration {
	if *strict {
		return deadline
	}
	return 5 * deadline
}

// An answer is what a node says to a take.
type answer struct {
	Allowed   bool
	Remaining int64
	Source    string
	Degraded  bool
	Node      string
	Owner     string
}

// alone reports whether a node answered without the key's owner or its copy.
func (a answer) alone() bool { return strings.HasPrefix(a.Source, "fallback_") }

// A take asks for tokens of one key.
type take struct {
	Key   string `json:"key"`
	Limit string `json:"limit"`
	Cost  int64  `json:"cost"`
}

// An outcome is what came of a take.
type outcome struct {
	take
	answer
	begun time.Time
	took  time.Duration
	err   error
	lost  bool // the node that was asked was killed meanwhile
}

// ask sends a take. It reports false if the node is not to be asked any more, or
// not yet.
func (n *node) ask(what take) (outcome, bool) {
	n.calls.RLock()
	defer n.calls.RUnlock()
	if !n.asked.Load() {
		return outcome{}, false
	}
	return n.askWithin(patience(), what), true
}

// askWithin sends a take whatever the node is thought to do.
func (n *node) askWithin(most time.Duration, what take) outcome {
	o := outcome{take: what, begun: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	body, err := json.Marshal(what)
	if err == nil {
		err = n.call(ctx, http.MethodPost, "/v1/take", body, &o.answer)
	}
	o.took = time.Since(o.begun)
	if refused(err, what) {
		o.answer, err = answer{Source: "fallback_closed", Degraded: true, Node: n.name}, nil
	}
	if err != nil {
		o.err = fmt.Errorf("take of %s by %s after %v: %w", what.Key, n.name, o.took.Round(time.Millisecond), err)
		o.lost = n.dying.Load()
	}
	return o
}

// call sends one request and reads its JSON answer, of 200 or 429.
func (n *node) call(ctx context.Context, method, path string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, n.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := n.web.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusTooManyRequests {
		return &statusError{resp.StatusCode, string(text)}
	}
	return json.Unmarshal(text, answer)
}

// A statusError is an answer that is neither of 200 and 429.
type statusError struct {
	code int
	text string
}

// Error implements error.
func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.text) }

// refused reports whether a limit that is to refuse calls without its owner did
// so, which is no failure.
func refused(err error, what take) bool {
	var status *statusError
	return errors.As(err, &status) && status.code == http.StatusServiceUnavailable &&
		strings.Contains(what.Limit, "unavailable=deny") && strings.Contains(status.text, "asks to refuse")
}

// A memberList is a node's view of the cluster.
type memberList struct {
	Members []struct {
		Name, State string
		Owned       int
	}
}

// active names the members that have a part of the ring.
func (m *memberList) active() []string {
	var names []string
	for _, one := range m.Members {
		if one.State == "active" && one.Owned > 0 {
			names = append(names, one.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (n *node) members(ctx context.Context) (*memberList, error) {
	var m memberList
	err := n.call(ctx, http.MethodGet, "/v1/members", nil, &m)
	return &m, err
}

// A ringView is the ring that a node has.
type ringView struct {
	Fingerprint string
	Members     []struct{ Name string }
}

func (n *node) ring(ctx context.Context) (*ringView, error) {
	var r ringView
	err := n.call(ctx, http.MethodGet, "/v1/ring", nil, &r)
	return &r, err
}

// ownerOf asks a node who owns a key.
func (n *node) ownerOf(ctx context.Context, key string) (string, error) {
	var e struct{ Owner string }
	err := n.call(ctx, http.MethodGet, "/v1/explain?key="+url.QueryEscape(key), nil, &e)
	return e.Owner, err
}

// logMetric shows what the nodes that serve say of one metric.
func (c *cluster) logMetric(name string) {
	c.t.Helper()
	for _, n := range c.serving() {
		resp, err := http.Get("http://" + n.doors()["admin"] + "/metrics")
		if err != nil {
			c.t.Errorf("metrics of %s: %v", n.name, err)
			continue
		}
		text, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			c.t.Errorf("metrics of %s: %v", n.name, err)
		}
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, name) {
				c.t.Logf("%s: %s", n.name, line)
			}
		}
	}
}

// keysOf returns those of the keys that a node owns.
func (c *cluster) keysOf(owner *node, keys []string) []string {
	c.t.Helper()
	var owned []string
	for _, key := range keys {
		name, err := c.serving()[0].ownerOf(context.Background(), key)
		if err != nil {
			c.t.Fatal(err)
		}
		if name == owner.name {
			owned = append(owned, key)
		}
	}
	return owned
}
