package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

var call = bucketring.Request{Key: "alice", Limits: perMinute, Cost: 1}

// want compares how often each node was asked.
func want(t *testing.T, what string, counts []int, nodes ...*fake) {
	t.Helper()
	for i, n := range nodes {
		if got := n.times(); got != counts[i] {
			t.Errorf("%s: node %d was asked %d times, want %d", what, i, got, counts[i])
		}
	}
}

// calls has one call for each verb.
func calls() []bucketring.Request {
	all := make([]bucketring.Request, bucketring.VerbUsage+1)
	for v := range all {
		all[v] = call
		switch verb := bucketring.Verb(v); verb {
		case bucketring.VerbRenew, bucketring.VerbRelease, bucketring.VerbSettle:
			all[v] = bucketring.Request{IDs: []string{bucketring.ID{1}.Text(7)}}
		case bucketring.VerbAdd, bucketring.VerbSet, bucketring.VerbUsage:
			all[v] = bucketring.Request{Namespace: "lesan", Attributes: stream}
		}
		all[v].Verb = bucketring.Verb(v)
	}
	return all
}

func TestVerbsReachTheNode(t *testing.T) {
	w := newWorld(t)
	a := w.start("a", nil)
	c := w.client()
	for _, req := range calls() {
		d, err := c.Take(t.Context(), req)
		if err != nil || !d.Allowed || req.Limits != nil && d.Remaining != 9 {
			t.Errorf("Take(%v) = %+v, %v, want 9 left", req.Verb, d, err)
		}
		if a.last.Verb != req.Verb {
			t.Errorf("%v arrived as %v", req.Verb, a.last.Verb)
		}
	}
}

func TestFailover(t *testing.T) {
	for name, prepare := range map[string]func(w *world){
		"refused":     func(*world) {},
		"unavailable": func(w *world) { w.start("a", away) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			b, cNode := w.start("b", nil), w.start("c", nil)
			c := w.client()
			for range 3 {
				if d, err := c.Take(t.Context(), call); err != nil || !d.Allowed {
					t.Fatalf("Take = %+v, %v, want the next node's decision", d, err)
				}
			}
			want(t, "sticks to the one that answered", []int{3, 0}, b, cNode)
			if a := w.nodes["a"]; a != nil {
				want(t, "left after its failure", []int{1}, a)
			}
			w.stop("b")
			if _, err := c.Take(t.Context(), call); err != nil {
				t.Errorf("Take after another node ended = %v, want a decision", err)
			}
			want(t, "goes on to the next", []int{1}, cNode)
		})
	}
}

// TestFailoverGoesAround: the first address follows the last.
func TestFailoverGoesAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) })
		w := newWorld(t)
		w.start("c", nil)
		c := w.client()
		if _, err := c.Take(t.Context(), call); err != nil {
			t.Fatal(err)
		}
		a := w.start("a", nil)
		w.stop("c")
		time.Sleep(time.Minute) // gRPC dials again
		if _, err := c.Take(t.Context(), call); err != nil {
			t.Errorf("Take = %v, want a decision of the first node", err)
		}
		want(t, "first node", []int{1}, a)
	})
}

func TestNoFailoverForAnAnswer(t *testing.T) {
	for _, tt := range []struct{ err, is error }{
		{bucketring.Invalidf("cost is -1"), bucketring.ErrInvalid},
		{fmt.Errorf("%w: x", bucketring.ErrNoPolicy), bucketring.ErrNoPolicy},
	} {
		w := newWorld(t)
		a := w.start("a", func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{}, tt.err
		})
		b := w.start("b", nil)
		if _, err := w.client().Take(t.Context(), call); !errors.Is(err, tt.is) || err.Error() != tt.err.Error() {
			t.Errorf("Take = %v, want %v", err, tt.err)
		}
		want(t, tt.err.Error(), []int{1, 0}, a, b)
	}
	w := newWorld(t)
	a := w.start("a", func(context.Context, bucketring.Request) (bucketring.Decision, error) {
		return bucketring.Decision{}, nil
	})
	b := w.start("b", nil)
	if d, err := w.client().Take(t.Context(), call); err != nil || d.Allowed {
		t.Errorf("Take = %+v, %v, want the denial", d, err)
	}
	want(t, "denial", []int{1, 0}, a, b)
}

// TestWhatIsRepeated: a call that was lost on its way may have been carried out, and
// a second refund or addition would count again.
func TestWhatIsRepeated(t *testing.T) {
	for _, req := range calls() {
		t.Run(req.Verb.String(), func(t *testing.T) {
			w := newWorld(t)
			a, b := w.start("a", away), w.start("b", nil)
			c := w.client()
			if req.Verb != bucketring.VerbRefund && req.Verb != bucketring.VerbAdd {
				if _, err := c.Take(t.Context(), req); err != nil {
					t.Errorf("Take(%v) = %v, want the next node's decision", req.Verb, err)
				}
				want(t, "both tries", []int{1, 1}, a, b)
				return
			}
			if _, err := c.Take(t.Context(), req); !errors.Is(err, bucketring.ErrUnavailable) {
				t.Errorf("Take(%v) = %v, want ErrUnavailable", req.Verb, err)
			}
			want(t, "first try", []int{1, 0}, a, b)
			if _, err := c.Take(t.Context(), req); err != nil {
				t.Errorf("Take(%v) again = %v, want the next node's decision", req.Verb, err)
			}
			want(t, "second try", []int{1, 1}, a, b)
		})
	}
}

// TestLeasesAreTakenOnce: a second try has the token of the first, and so gets the
// same lease; another call has another.
func TestLeasesAreTakenOnce(t *testing.T) {
	concurrent := bucketring.Request{Key: "alice", Limits: bucketring.MustParse("100/m, 5 concurrent"), Cost: 1}
	ofPolicy := bucketring.Request{Namespace: "lesan", Attributes: stream, Cost: 1}
	for _, req := range []bucketring.Request{concurrent, ofPolicy} {
		w := newWorld(t)
		a, b := w.start("a", away), w.start("b", nil)
		c := w.client()
		if _, err := c.Take(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		first := b.last.Token
		if len(first) < 16 || first != a.last.Token {
			t.Errorf("tokens of the two tries are %q and %q, want the same", a.last.Token, first)
		}
		if _, err := c.Take(t.Context(), req); err != nil || b.last.Token == first {
			t.Errorf("Take again = %v with the token %q, want another token", err, b.last.Token)
		}
		req.Token = "the caller's own token"
		if _, err := c.Take(t.Context(), req); err != nil || b.last.Token != req.Token {
			t.Errorf("Take with a token = %v, sent %q", err, b.last.Token)
		}
		if _, err := c.Take(t.Context(), call); err != nil || b.last.Token != "" {
			t.Errorf("Take of a rate = %v with the token %q, want none", err, b.last.Token)
		}
	}
}

func TestAllNodesAway(t *testing.T) {
	w := newWorld(t)
	a, b, cNode := w.start("a", away), w.start("b", away), w.start("c", away)
	if _, err := w.client().Take(t.Context(), call); !errors.Is(err, bucketring.ErrUnavailable) {
		t.Errorf("Take = %v, want ErrUnavailable", err)
	}
	want(t, "each once", []int{1, 1, 1}, a, b, cNode)
}

func TestCallerThatGivesUp(t *testing.T) {
	w := newWorld(t)
	a, b := w.start("a", nil), w.start("b", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client().Take(ctx, call); !errors.Is(err, context.Canceled) {
		t.Errorf("Take = %v, want Canceled", err)
	}
	want(t, "given up", []int{0, 0}, a, b)
}

func TestDialErrors(t *testing.T) {
	if _, err := client.Dial(t.Context(), client.Config{}); err == nil || err.Error() != "client: no address of a node is given" {
		t.Errorf("Dial without addresses = %v", err)
	}
	addr := "10.0.0.1:\x00"
	if c, err := client.Dial(t.Context(), client.Config{Addrs: []string{"127.0.0.1:1", addr}}); err == nil {
		t.Errorf("Dial(%q) = %v, want an error", addr, c)
	}
}

func TestCloseEndsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Minute) })
		w := newWorld(t)
		w.start("a", hang)
		c := w.client()
		failed := make(chan error)
		go func() {
			_, err := c.Take(t.Context(), call)
			failed <- err
		}()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
		if err := <-failed; err == nil {
			t.Errorf("Take during Close = nil, want an error")
		}
		if _, err := c.Take(t.Context(), call); err == nil {
			t.Errorf("Take after Close = nil, want an error")
		}
	})
}

// TestManyCallersWhileNodesGo is for the race detector: calls go on.
func TestManyCallersWhileNodesGo(t *testing.T) {
	w := newWorld(t)
	w.start("a", nil)
	w.start("b", nil)
	w.start("c", nil)
	c := w.client()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 200 {
				if i == 0 && j == 50 {
					w.stop("a")
				}
				if i == 0 && j == 100 {
					w.stop("b")
				}
				if _, err := c.Take(t.Context(), call); err != nil {
					t.Errorf("Take = %v, want a decision while a node is left", err)
					return
				}
			}
		})
	}
	group.Wait()
}

// TestTLSIsUsed: a client with TLS does not talk in clear.
func TestTLSIsUsed(t *testing.T) {
	w := newWorld(t)
	a := w.start("a", nil)
	c, err := client.Dial(t.Context(), client.Config{
		Addrs: []string{"passthrough:///a"}, TLS: &tls.Config{InsecureSkipVerify: true}, Options: dialing(w),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Take(t.Context(), call); !errors.Is(err, bucketring.ErrUnavailable) {
		t.Errorf("Take with TLS from a node without = %v, want ErrUnavailable", err)
	}
	want(t, "TLS", []int{0}, a)
}
