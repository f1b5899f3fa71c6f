package node_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

const planned = `
apiVersion: limits/v1
namespace: test
limits:
  - {name: calls, key: [user], limit: {by: plan, values: {pro: 10}}, per: 1h}
`

// A caller whose plan has no number is told to the log once a minute, and not by
// its name.
func TestCallersWithoutANumberAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		var mu sync.Mutex
		lines := func() int {
			mu.Lock()
			defer mu.Unlock()
			return strings.Count(text.String(), "no number")
		}
		c := newCluster(t, 1, func(cfg *node.Config) {
			cfg.Logger = slog.New(slog.NewTextHandler(writerFunc(func(p []byte) (int, error) {
				mu.Lock()
				defer mu.Unlock()
				return text.Write(p)
			}), nil))
		})
		withPolicy(t, c, planned)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = c.nodes[0].Run(ctx) })
		defer running.Wait()
		defer stop()
		time.Sleep(300 * time.Millisecond) // from now on, no round of the log begins amid the calls
		ask := func(user string) {
			if d := do(t, c.nodes[0], callOf(bucketring.VerbTake, 1, "user", user)); d.Allowed || d.Limit != 0 {
				t.Fatalf("take = %+v, want a limit of 0", d)
			}
		}
		for range 50 {
			ask("alice-the-customer")
		}
		time.Sleep(time.Second)
		if got := lines(); got != 1 {
			t.Errorf("%d lines after 50 calls of one caller, want 1", got)
		}
		ask("bob")
		time.Sleep(time.Minute)
		ask("alice-the-customer")
		time.Sleep(time.Second)
		if got := lines(); got != 3 {
			t.Errorf("%d lines, want one of another caller and one of the next minute", got)
		}
		for i := range 1000 {
			ask(fmt.Sprint("u", i))
		}
		time.Sleep(time.Second)
		if got := lines(); got > 3+20 {
			t.Errorf("%d lines after a flood of callers, want at most 20 more", got)
		}
		mu.Lock()
		defer mu.Unlock()
		if strings.Contains(text.String(), "alice") || strings.Contains(text.String(), "u17") {
			t.Errorf("the log names a caller:\n%s", &text)
		}
		if got := c.nodes[0].Stats().Policies.Unplanned; len(got) != 1 || got[0].Count != 1052 {
			t.Errorf("Unplanned = %+v, want 1052 calls", got)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
