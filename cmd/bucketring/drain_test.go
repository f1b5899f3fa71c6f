package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestDrainCommand: a drained node has given all its counts away and still answers;
// one that is told to leave ends by itself with exit code 0.
func TestDrainCommand(t *testing.T) {
	nodes, _ := startCluster(t, 3)
	doors := bothDoors(t, nodes...)
	const keys, spent = 60, 4
	for i := range keys * spent {
		if d, err := doors[i%len(doors)].Take(t.Context(), takeOne(fmt.Sprint("drain:", i%keys), "10/h")); err != nil || !d.Allowed {
			t.Fatalf("take %d = %+v, %v, want it allowed", i, d, err)
		}
	}
	for _, args := range [][]string{{"drain"}, {"drain", "--leave"}} {
		n := nodes[len(args)]
		var out, errs bytes.Buffer
		code := run(t.Context(), append(args, "--admin-addr", n.doors()["admin"]), &out, &errs)
		if code != exitOK || !strings.HasPrefix(out.String(), "drained: 0 partitions left") {
			t.Errorf("%v = exit code %d, %q, %q, want 0 and nothing left", args, code, out.String(), errs.String())
		}
	}
	if resp, err := http.Get("http://" + nodes[1].doors()["admin"] + "/readyz"); err != nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("GET /readyz of a drained node = %v, %v, want 503", resp, err)
	}
	if err := nodes[2].awaitEnd(); err != nil || nodes[2].cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("a node that was told to leave: %v, exit code %d, want 0", err, nodes[2].cmd.ProcessState.ExitCode())
	}
	for i := range keys {
		allowed := 0
		for turn := range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			d, err := doors[turn%4].Take(ctx, takeOne(fmt.Sprint("drain:", i), "10/h")) // of the two that are left
			cancel()
			if err != nil || d.Degraded {
				t.Errorf("take of key %d after the drains = %+v, %v, want it decided by an owner", i, d, err)
			}
			if d.Allowed {
				allowed++
			}
		}
		if allowed != 10-spent {
			t.Errorf("key %d: %d more pass after the drains, want %d", i, allowed, 10-spent)
		}
	}
}
