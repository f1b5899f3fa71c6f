package node_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// A beginner is a door, which can be asked without waiting.
type beginner interface {
	bucketring.Limiter
	Begin(budget time.Duration, req *bucketring.Request, w bucketring.Waiter) bool
}

// told is a Waiter that hands on what it is told.
type told chan outcome

type outcome struct {
	d   bucketring.Decision
	err error
}

func (c told) Answered(d *bucketring.Decision, err error) { c <- outcome{*d, err} }

// begin asks through a door without waiting, and waits.
func begin(t testing.TB, n *node.Node, budget time.Duration, req bucketring.Request) outcome {
	t.Helper()
	w := make(told, 2)
	if !n.Door("test").(beginner).Begin(budget, &req, w) {
		t.Fatalf("Begin(%q) has not begun", req.Key)
	}
	o := <-w
	select {
	case again := <-w:
		t.Errorf("Begin(%q) was answered twice: %+v, %+v", req.Key, o, again)
	default:
	}
	return o
}

func mustBegin(t testing.TB, l bucketring.Limiter, req bucketring.Request) bucketring.Decision {
	t.Helper()
	o := begin(t, l.(*node.Node), 0, req)
	if o.err != nil {
		t.Fatalf("Begin(%q) = %v, want a decision", req.Key, o.err)
	}
	return o.d
}

// TestBeginsOnlyWhatIsElsewhere: all else takes Take, and nothing has happened.
func TestBeginsOnlyWhatIsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		door := c.nodes[0].Door("test").(beginner)
		there := take(c.keyOf(1), limits(t, "10/h"))
		peeks := there
		peeks.Verb = bucketring.VerbPeek
		wrong := there
		wrong.Cost = -1
		for name, req := range map[string]bucketring.Request{
			"owned": take(c.keyOf(0), limits(t, "10/h")), "a look": peeks, "invalid": wrong,
			"policy": {Namespace: "shop"}, "leases": take(c.keyOf(1), []bucketring.Limit{{Name: "l", Kind: bucketring.KindConcurrency, Amount: 3, TTL: time.Minute}}),
		} {
			if door.Begin(0, &req, make(told, 1)) {
				t.Errorf("Begin of %s has begun, want it left to Take", name)
			}
		}
		if door.Begin(time.Millisecond, &there, make(told, 1)) {
			t.Error("Begin has begun for a caller with a millisecond left, want it left to Take")
		}
		if asks := c.wires.asked(); len(asks) > 0 {
			t.Errorf("asks = %v, want none", asks)
		}
	})
}

// TestBeginEnds: the budget bounds it, and a caller's own.
func TestBeginEnds(t *testing.T) {
	for name, test := range map[string]struct{ budget, ends time.Duration }{
		"the node's":     {0, node.DefaultBudget},
		"a long one":     {time.Second, node.DefaultBudget},
		"a shorter one":  {10 * time.Millisecond, 9 * time.Millisecond},
		"nearly nothing": {1500 * time.Microsecond, 500 * time.Microsecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c.wires.slow(time.Minute)
				began := time.Now()
				o := begin(t, c.nodes[0], test.budget, take(c.keyOf(1), limits(t, "10/h")))
				if took := time.Since(began); o.err != nil || !o.d.Degraded || took != test.ends {
					t.Errorf("Begin = %+v, %v after %v, want a fallback after %v", o.d, o.err, took, test.ends)
				}
			})
		})
	}
}

// TestBegunIsCounted like any other call of its door.
func TestBegunIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		req := take(c.keyOf(1), limits(t, "1/h"))
		for want := range 2 {
			if o := begin(t, c.nodes[0], 0, req); o.err != nil || o.d.Allowed != (want == 0) || o.d.Owner != "n2" || o.d.ResetAt == 0 {
				t.Errorf("Begin = %+v, %v, want take %d decided by n2", o.d, o.err, want)
			}
		}
		counted := map[bool]int64{}
		for _, one := range c.nodes[0].Stats().Doors {
			for _, count := range one.Decisions {
				counted[count.Allowed] += count.Count
			}
		}
		if counted[true] != 1 || counted[false] != 1 {
			t.Errorf("counted %v, want one allowed and one denied", counted)
		}
	})
}

// panics is a peer whose answer is no decision of this call, which breaks who reads it.
type panics struct{}

func (p panics) Peer(string) bucketring.Limiter { return p }

func (panics) Take(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{}, errors.New("not asked that way")
}

func (panics) Begin(req *bucketring.Request, _ time.Time, w bucketring.Waiter) (id uint64) {
	*req = bucketring.Request{} // which nobody may do
	req.Limits = make([]bucketring.Limit, 1)
	w.Answered(&bucketring.Decision{Limits: make([]bucketring.LimitState, 0)}, nil)
	return 0
}

func (panics) GiveUp(uint64) {}

// TestPanicOfABegunCall costs that call, which is told.
func TestPanicOfABegunCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2, func(cfg *node.Config) { cfg.Peers = panics{} })
		if o := begin(t, c.nodes[0], 0, take(c.keyOf(1), limits(t, "10/h"))); !errors.Is(o.err, bucketring.ErrUnavailable) {
			t.Errorf("Begin = %+v, %v, want it unavailable after a panic", o.d, o.err)
		}
	})
}
