// client_test.go asks as a Go program does, with package client, while a node stands still.

package proctest_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// TestClientWhileANodeSleeps stops one of three nodes. Callers who gave no deadline are
// answered by the others, at once save those who find out; and when the node goes on, it is
// asked again.
func TestClientWhileANodeSleeps(t *testing.T) {
	for name, cfg := range map[string]client.Config{"stream": {}, "unary": {Unary: true}, "sticky": {Sticky: true}} {
		t.Run(name, func(t *testing.T) {
			repeat(t, func(t *testing.T, _ int) { clientWhileANodeSleeps(t, cfg) })
		})
	}
}

func clientWhileANodeSleeps(t *testing.T, cfg client.Config) {
	c := startCluster(t, 3)
	sleeper := c.serving()[0] // the one that is asked first
	for _, n := range c.serving() {
		cfg.Addrs = append(cfg.Addrs, n.doors()["grpc"])
	}
	lim, err := client.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lim.Close() }()
	keys := names("client", 100)
	own := c.keysOf(sleeper, keys)
	for range 3 { // until it knows who owns what
		takeByClient(t, lim, keys)
	}

	if err := sleeper.pause(); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("skipped: no signals here that stop a process")
	} else if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for range 3 {
		took = append(took, takeByClient(t, lim, keys)...)
	}
	waited := 0
	for _, d := range took {
		if d >= client.DefaultAttemptTimeout {
			waited++
		}
	}
	show(t, figure{"A8", "longest wait of a Go client without a deadline", "<= 300 ms", ms(slices.Max(took)), "ms",
		fmt.Sprintf("%d of %d calls waited; %d of %d keys are the sleeper's", waited, len(took), len(own), len(keys))})
	if err := sleeper.resume(); err != nil {
		t.Fatal(err)
	}
	if !cfg.Sticky {
		awaitAskedAgain(t, lim, own[0], sleeper.name)
	}
}

// takeByClient takes one token of each key, ten at a time, without a deadline. It returns how
// long each caller had to wait.
func takeByClient(t *testing.T, lim bucketring.Limiter, keys []string) []time.Duration {
	t.Helper()
	limits := bucketring.MustParse(loadLimit)
	took := make([]time.Duration, len(keys))
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		var all sync.WaitGroup
		for first := range 10 {
			all.Go(func() {
				for i := first; i < len(keys); i += 10 {
					began := time.Now()
					_, err := lim.Take(context.Background(), bucketring.Request{Key: keys[i], Limits: limits, Cost: 1})
					if took[i] = time.Since(began); err != nil {
						t.Errorf("Take of %s = %v, want an answer", keys[i], err)
					}
				}
			})
		}
		all.Wait()
	}()
	select {
	case <-answered:
	case <-time.After(slack):
		t.Fatalf("callers of the Go client still wait after %v", slack)
	}
	return took
}

// awaitAskedAgain waits until the client asks a node for one of its keys.
func awaitAskedAgain(t *testing.T, lim bucketring.Limiter, key, node string) {
	t.Helper()
	limits, began := bucketring.MustParse(loadLimit), time.Now()
	for {
		d, err := lim.Take(t.Context(), bucketring.Request{Key: key, Limits: limits, Cost: 1})
		if err == nil && d.Node == node {
			break
		}
		if time.Since(began) > slack {
			t.Fatalf("the client asks %q for %s %v after its owner %s went on: %v", d.Node, key, slack, node, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
	show(t, figure{"A8", "until a Go client asks the woken node again", "<= 30000 ms", ms(time.Since(began)), "ms", ""})
}
