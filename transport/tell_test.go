package transport_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/transport"
)

// ears keep what was told.
type ears struct {
	mu    sync.Mutex
	heard []transport.Notice // guarded by mu
	err   error
}

func (e *ears) told(n transport.Notice) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n.Kind == "panic" {
		panic("told to")
	}
	e.heard = append(e.heard, n)
	return e.err
}

func (e *ears) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.heard)
}

// listening makes the host, which has not started, hear notices.
func (h *host) listening(told func(transport.Notice) error) *host {
	h.cfg.Told = told
	h.server = transport.NewPeerServer(h.cfg, h.owner)
	return h
}

func TestNoticesReachEveryPeerWhole(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var at [2]ears
		hosts := []*host{w.host("n2"), w.host("n3")}
		for i, h := range hosts {
			h.listening(at[i].told).start()
		}
		pool := w.pool(hosts...)
		notices := []transport.Notice{
			{Kind: "table", Namespace: "voicedub", Name: "api_keys", Text: bytes.Repeat([]byte("0123456789"), 100_000)}, // in eight pieces
			{Kind: "policy", Namespace: "plaud", Text: []byte("x")},
			{Kind: "overrides", Namespace: "plaud"}, // an empty text
		}
		if err := pool.Tell(t.Context(), notices); err != nil {
			t.Fatalf("Tell = %v, want all told", err)
		}
		for i := range at {
			if diff := cmp.Diff(notices, at[i].heard); diff != "" {
				t.Errorf("n%d heard (-want +got):\n%s", i+2, diff)
			}
		}
	})
}

func TestTellSaysWhoDidNotHear(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		hears, refuses, panics, deaf := &ears{}, &ears{err: errors.New("line 3: no such key")}, &ears{}, w.host("n5")
		hosts := []*host{w.host("n2"), w.host("n3"), w.host("n4")}
		for i, e := range []*ears{hears, refuses, panics} {
			hosts[i].listening(e.told).start()
		}
		pool := w.pool(append(hosts, deaf)...) // n5 was never started
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := pool.Tell(ctx, []transport.Notice{{Kind: "policy", Namespace: "a"}})
		for _, want := range []string{"tell n3", "no such key", "tell n5"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Tell = %v, want an error with %q", err, want)
			}
		}
		if len(hears.heard) != 1 || strings.Contains(err.Error(), "tell n2") {
			t.Errorf("n2 heard %v beside %v, want it told", hears.heard, err)
		}
		if err := pool.Tell(ctx, []transport.Notice{{Kind: "panic"}}); err == nil || !strings.Contains(err.Error(), "panic") {
			t.Errorf("Tell = %v, want the panic told", err)
		}
	})
}
