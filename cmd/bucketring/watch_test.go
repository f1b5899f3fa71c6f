package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// sights are what a node answers, one after the other; empty is no answer.
var sights = []string{
	`{"version":3,"fingerprint":"aa","members":[{"name":"n1"},{"name":"n2"}],"owners":["n1","n2","n1","n2"]}
	 {"node":"n1","members":[{"name":"n1","state":"active","ring":"agrees"},{"name":"n2","state":"active","ring":"agrees"}]}`,
	`{"version":3,"fingerprint":"aa","members":[{"name":"n1"},{"name":"n2"}],"owners":["n1","n2","n1","n2"]}
	 {"node":"n1","members":[{"name":"n1","state":"active","ring":"agrees"},{"name":"n2","state":"active","ring":"agrees"}]}`,
	``,
	``,
	`{"version":4,"fingerprint":"bb","members":[{"name":"n1"},{"name":"n3"}],"owners":["n1","n1","n3","n3"]}
	 {"node":"n1","members":[{"name":"n1","state":"active","ring":"agrees"},{"name":"n2","state":"dead","ring":"unknown"},{"name":"n3","state":"active","ring":"differs"}]}`,
	`{"version":4,"fingerprint":"bb","members":[{"name":"n1"},{"name":"n3"}],"owners":["n1","n1","n3","n3"]}
	 {"node":"n1","members":[{"name":"n1","state":"active","ring":"agrees"},{"name":"n2","state":"dead","ring":"unknown"},{"name":"n3","state":"active","ring":"agrees"}]}`,
}

// watch runs ring --watch over all sights.
func watch(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	now := ""
	node := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ring, members, ok := strings.Cut(now, "\n")
		if !ok {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/v1/members" {
			ring = members
		}
		_, _ = w.Write([]byte(ring))
	}))
	defer node.Close()
	cmd := ringCommand()
	var out, complaints bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&complaints)
	cmd.SetContext(t.Context())
	if err := cmd.ParseFlags(append(args, "--watch", "--addr", node.Listener.Addr().String())); err != nil {
		t.Fatal(err)
	}
	err := watchRing(cmd, func(ctx context.Context, do func(context.Context) error) error {
		for _, now = range sights {
			if err := do(ctx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), complaints.String()
}

// TestWatchTellsChanges: what differs and nothing else, and a node that does not answer is
// asked on.
func TestWatchTellsChanges(t *testing.T) {
	got, complaints := watch(t)
	var lines []string
	for line := range strings.Lines(got) {
		lines = append(lines, strings.TrimRight(line[len("15:04:05 "):], "\n"))
	}
	want := []string{
		"ring 3: n1, n2 on it; n1 is active; n2 is active; all nodes agree",
		"ring 4: n3 on it; n2 off it; 75.0 % of partitions move: 3; n2 is dead; n3 is active; another ring at: n3",
		"n1 -> n3: 1 partitions", "n2 -> n1: 1 partitions", "n2 -> n3: 1 partitions",
		"ring 4: all nodes agree",
	}
	if strings.Join(lines, "\n") != strings.Join(want, "\n") {
		t.Errorf("lines =\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if strings.Count(complaints, "\n") != 1 || !strings.Contains(complaints, "503") {
		t.Errorf("complaints = %q, want one of the node that did not answer", complaints)
	}
}

// TestWatchInJSON: an object a line.
func TestWatchInJSON(t *testing.T) {
	got, _ := watch(t, "-o", "json")
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines, want 3:\n%s", len(lines), got)
	}
	var c ringChange
	if err := json.Unmarshal([]byte(lines[1]), &c); err != nil {
		t.Fatal(err)
	}
	if c.Ring != 4 || c.Moved != 3 || c.Share != 0.75 || len(c.Moves) != 3 || c.Moves[2] != (move{"n2", "n3", 1}) || c.Time.IsZero() {
		t.Errorf("change = %+v, want ring 4 with 3 of 4 partitions moved", c)
	}
}

// TestWatchNobody: without a first answer there is nothing to watch.
func TestWatchNobody(t *testing.T) {
	cmd := ringCommand()
	cmd.SetContext(t.Context())
	if err := cmd.ParseFlags([]string{"--addr", "127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	err := watchRing(cmd, func(ctx context.Context, do func(context.Context) error) error { return do(ctx) })
	var e *exit
	if !errors.As(err, &e) || e.code != exitError {
		t.Errorf("watchRing of nobody = %v, want an exit with code 1", err)
	}
}
