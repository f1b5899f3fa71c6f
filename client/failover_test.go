// failover_test.go has nodes that say nothing, in virtual time.

package client_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// ways are the clients that there are.
func ways() map[string]client.Config {
	return map[string]client.Config{
		"stream": {}, "unary": {Unary: true}, "sticky stream": {Sticky: true}, "sticky unary": {Sticky: true, Unary: true},
	}
}

// slow is a node that answers after a while.
func slow(wait time.Duration, then decider) decider {
	return func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
		select {
		case <-time.After(wait):
			return then(ctx, req)
		case <-ctx.Done():
			return bucketring.Decision{}, ctx.Err()
		}
	}
}

// TestSilentNode costs callers without a deadline one short wait, and one now and then until
// it is back.
func TestSilentNode(t *testing.T) {
	for name, cfg := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o, nodes := startOwners(w, 30)
				c := w.with(cfg)
				for range 3 {
					for i := range 30 {
						mustTake(t, c, keyed(i))
					}
				}
				nodes[0].set(hang)
				began, asked := time.Now(), nodes[0].times()
				for i := range 300 {
					if d := mustTake(t, c, keyed(i%30)); !d.Allowed || d.Node == "node-a" {
						t.Errorf("Take = %+v, want it allowed by another node", d)
					}
				}
				if took := time.Since(began); took != client.DefaultAttemptTimeout || nodes[0].times()-asked != 1 {
					t.Errorf("300 calls took %v and asked the silent node %d times, want one call to wait for %v",
						took, nodes[0].times()-asked, client.DefaultAttemptTimeout)
				}
				nodes[0].set(o.at("node-a"))
				time.Sleep(client.MaxPassedOver)
				back := "node-a"
				if cfg.Sticky {
					back = "node-b" // which answers
				}
				if d := mustTake(t, c, keyed(0)); d.Node != back {
					t.Errorf("asked %s for the first node's key, now that it is back, want %s", d.Node, back)
				}
				_ = c.Close()
			})
		})
	}
}

// TestSilentNodeAndADeadline: a call has an answer in its time, from another node.
func TestSilentNodeAndADeadline(t *testing.T) {
	for name, cfg := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a, b, last := w.start("a", hang), w.start("b", hang), w.start("c", nil)
				c := w.with(cfg)
				for i, want := range []time.Duration{75, 0, 0} {
					began := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
					if d, err := c.Take(ctx, call); err != nil || !d.Allowed {
						t.Errorf("Take %d = %+v, %v, want the last node's answer", i, d, err)
					}
					cancel()
					if took := time.Since(began); took != want*time.Millisecond {
						t.Errorf("Take %d took %v, want %v: a half and a quarter of 100ms, once", i, took, want)
					}
				}
				want(t, "asked", []int{1, 1, 3}, a, b, last)
				_ = c.Close()
			})
		})
	}
}

// TestAllNodesSilent: the last one has the rest of the time.
func TestAllNodesSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		nodes := []*fake{w.start("a", hang), w.start("b", hang), w.start("c", hang)}
		c := w.with(client.Config{})
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if _, err := c.Take(ctx, call); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 100*time.Millisecond {
			t.Errorf("Take = %v after %v, want DeadlineExceeded after 100ms", err, time.Since(began))
		}
		want(t, "asked", []int{1, 1, 1}, nodes...)
		_ = c.Close()
	})
}

// TestAllNodesSlow: where all are slow, more calls would make them slower, and each node has
// the time that it needs.
func TestAllNodesSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const takes = 2 * client.DefaultAttemptTimeout
		nodes := []*fake{w.start("a", slow(takes, always)), w.start("b", slow(takes, always)), w.start("c", slow(takes, always))}
		c := w.with(client.Config{})
		mustTake(t, c, call)
		want(t, "at first", []int{1, 1, 1}, nodes...)
		began := time.Now()
		all := make(chan error)
		for range 100 {
			go func() {
				_, err := c.Take(t.Context(), call)
				all <- err
			}()
		}
		for range 100 {
			if err := <-all; err != nil {
				t.Errorf("Take = %v, want an answer", err)
			}
		}
		want(t, "then", []int{1, 1, 101}, nodes...)
		if took := time.Since(began); took != takes {
			t.Errorf("100 calls took %v, want the %v of the node", took, takes)
		}
		_ = c.Close()
	})
}

func always(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return allow(req), nil
}

// TestSilentNodeAndOnesThatFailed: the others are asked, though not as soon.
func TestSilentNodeAndOnesThatFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b, last := w.start("a", away), w.start("b", away), w.start("c", nil)
		c := w.with(client.Config{Sticky: true})
		mustTake(t, c, call)
		last.set(hang)
		b.set(nil)
		began := time.Now()
		mustTake(t, c, call)
		if took := time.Since(began); took != 4*client.DefaultAttemptTimeout {
			t.Errorf("Take took %v, want four times %v", took, client.DefaultAttemptTimeout)
		}
		want(t, "asked", []int{2, 2, 2}, a, b, last)
		_ = c.Close()
	})
}

// TestAttemptTimeout is what the Config says; and what cannot be repeated is waited for.
func TestAttemptTimeout(t *testing.T) {
	const answers = time.Second // the first node, after that
	refund := call
	refund.Verb = bucketring.VerbRefund
	for _, tt := range []struct {
		attempt time.Duration
		req     bucketring.Request
		took    time.Duration
		counts  []int
	}{
		{0, call, client.DefaultAttemptTimeout, []int{1, 1}},
		{700 * time.Millisecond, call, 700 * time.Millisecond, []int{1, 1}},
		{2 * time.Second, call, answers, []int{1, 0}},
		{-1, call, answers, []int{1, 0}},
		{0, refund, answers, []int{1, 0}},
	} {
		t.Run(fmt.Sprint(tt.attempt, tt.req.Verb), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				a, b := w.start("a", slow(answers, always)), w.start("b", nil)
				c, began := w.with(client.Config{AttemptTimeout: tt.attempt}), time.Now()
				mustTake(t, c, tt.req)
				if took := time.Since(began); took != tt.took {
					t.Errorf("Take took %v, want %v", took, tt.took)
				}
				want(t, "asked", tt.counts, a, b)
				_ = c.Close()
			})
		})
	}
}

// TestEveryVerbLeavesASilentNode that can be repeated, with one token for what is lent.
func TestEveryVerbLeavesASilentNode(t *testing.T) {
	for _, req := range append(calls(), bucketring.Request{Key: "alice", Limits: bucketring.MustParse("5 concurrent"), Cost: 1}) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.start("a", hang), w.start("b", nil)
			c := w.with(client.Config{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			began := time.Now()
			_, err := c.Take(ctx, req)
			wait, counts := client.DefaultAttemptTimeout, []int{1, 1}
			if once := req.Verb == bucketring.VerbRefund || req.Verb == bucketring.VerbAdd; once {
				wait, counts = time.Minute, []int{1, 0}
			}
			if took := time.Since(began); took != wait || (err != nil) != (counts[1] == 0) {
				t.Errorf("Take(%v) = %v after %v, want %v", req.Verb, err, took, wait)
			}
			want(t, req.Verb.String(), counts, a, b)
			if counts[1] == 1 && a.last.Token != b.last.Token {
				t.Errorf("tokens of the two attempts are %q and %q, want the same", a.last.Token, b.last.Token)
			}
			_ = c.Close()
		})
	}
}

// TestImpatientCallers do not have nodes passed over that answer everybody else.
func TestImpatientCallers(t *testing.T) {
	for name, cfg := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o, nodes := startOwners(w, 3)
				c := w.with(cfg)
				for range 3 {
					for i := range 3 {
						mustTake(t, c, keyed(i))
					}
				}
				for i, n := range nodes {
					n.set(slow(5*time.Millisecond, o.at("node-"+string(rune('a'+i)))))
				}
				for i := range 9 {
					ctx, cancel := context.WithTimeout(t.Context(), 4*time.Millisecond)
					if _, err := c.Take(ctx, keyed(i%3)); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Take within 4ms = %v, want DeadlineExceeded", err)
					}
					cancel()
				}
				for i, node := range []string{"node-a", "node-b", "node-c"} {
					if cfg.Sticky {
						node = "node-a"
					}
					if d := mustTake(t, c, keyed(i)); d.Node != node {
						t.Errorf("asked %s for key %d, want %s, which answers", d.Node, i, node)
					}
				}
				_ = c.Close()
			})
		})
	}
}

// A cut connection loses what is sent over it, as one to a machine without power.
type cut struct {
	net.Conn
	off *atomic.Bool
}

func (c cut) Read(b []byte) (n int, err error) {
	for {
		if n, err = c.Conn.Read(b); err != nil || !c.off.Load() {
			return n, err
		}
	}
}

func (c cut) Write(b []byte) (int, error) {
	if c.off.Load() {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

// TestMachineThatVanished is noticed where there is no other node and no deadline, and asked
// again when it is back.
func TestMachineThatVanished(t *testing.T) {
	for name, cfg := range ways() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var off atomic.Bool
				w.start("a", slow(time.Millisecond, always))
				cfg.Addrs = []string{"passthrough:///a"}
				cfg.Options = []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
					conn, err := w.dial(ctx, addr)
					return cut{conn, &off}, err
				})}
				c, err := client.Dial(t.Context(), cfg)
				if err != nil {
					t.Fatal(err)
				}
				mustTake(t, c, call)
				off.Store(true)
				began := time.Now()
				if _, err := c.Take(t.Context(), call); !errors.Is(err, bucketring.ErrUnavailable) || time.Since(began) > 30*time.Second {
					t.Errorf("Take = %v after %v, want it unavailable within half a minute", err, time.Since(began))
				}
				t.Logf("noticed after %v", time.Since(began))
				off.Store(false)
				d, err := client.Retry{Limiter: c}.Take(t.Context(), call)
				if err != nil || !d.Allowed {
					t.Errorf("Take of a machine that is back = %+v, %v, want an answer", d, err)
				}
				_ = c.Close()
			})
		})
	}
}

// TestNodesPermitPings: a node ends no connection because its client asks for signs of life.
func TestNodesPermitPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.start("a", slow(3*time.Minute, always))
		dialed := 0
		c, err := client.Dial(t.Context(), client.Config{
			Addrs: []string{"passthrough:///a"},
			Options: []grpc.DialOption{grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
				dialed++
				return w.dial(ctx, addr)
			})},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Take(t.Context(), call); err != nil || dialed != 1 {
			t.Errorf("Take that takes 3 minutes = %v over %d connections, want an answer over one", err, dialed)
		}
		_ = c.Close()
	})
}
