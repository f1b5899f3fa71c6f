package node_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/ring"
)

func TestNewNeedsAName(t *testing.T) {
	if n, err := node.New(node.Config{}); n != nil || err == nil || err.Error() != "node: name is missing" {
		t.Errorf("New without a name = %v, %v, want an error", n, err)
	}
}

func TestNodeAloneOwnsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, err := node.New(node.Config{Name: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			d := mustTake(t, n, take(fmt.Sprint("key-", i), limits(t, "10/m")))
			if !d.Allowed || d.Degraded || d.Source != bucketring.SourceOwner || d.Node != "n1" || d.Owner != "n1" || d.Remaining != 9 {
				t.Errorf("Take(key-%d) = %+v, want n1 to decide", i, d)
			}
		}
		if s := n.Stats(); s.Owned != ring.Partitions || s.RingVersion != 1 || len(n.Ring().Members) != 1 {
			t.Errorf("Stats alone = %+v, want all partitions", s)
		}
	})
}

// TestInvalidRequests: refused at every kind of Limiter, before anything is
// asked or counted.
func TestInvalidRequests(t *testing.T) {
	one := limits(t, "10/m")
	nine := make([]bucketring.Limit, 9)
	for i := range nine {
		nine[i] = one[0]
		nine[i].Per <<= i
	}
	tests := []struct {
		name string
		req  bucketring.Request
		want error
		text string // part of it
	}{
		{"no key", bucketring.Request{Limits: one}, bucketring.ErrInvalid, "key is missing"},
		{"513 bytes", take(strings.Repeat("k", 513), one), bucketring.ErrInvalid, "513 bytes, at most 512"},
		{"no limit", take("k", nil), bucketring.ErrInvalid, "limit is missing"},
		{"9 limits", take("k", nine), bucketring.ErrInvalid, "9 limits in one call, at most 8"},
		{"limits alike", take("k", []bucketring.Limit{one[0], one[0]}), bucketring.ErrInvalid, "limits 1 and 2"},
		{"bad limit", take("k", []bucketring.Limit{{Name: "x", Amount: 1}}), bucketring.ErrInvalid, `limit "x"`},
		{"negative cost", bucketring.Request{Key: "k", Limits: one, Cost: -1}, bucketring.ErrInvalid, "cost is -1"},
		{"unknown verb", bucketring.Request{Verb: 99, Key: "k", Limits: one}, bucketring.ErrInvalid, "unknown verb 99"},
		{"namespace", bucketring.Request{Namespace: "api"}, bucketring.ErrNoPolicy, `no namespace "api"`},
		{"both", bucketring.Request{Namespace: "api", Key: "k"}, bucketring.ErrInvalid, "not both"},
		{"attributes", bucketring.Request{Key: "k", Limits: one, Attributes: map[string]string{"a": "b"}}, bucketring.ErrInvalid, "need a namespace"},
	}
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, tt := range tests {
			for name, l := range map[string]bucketring.Limiter{"Node": c.nodes[0], "Door": c.nodes[0].Door("http"), "Local": c.nodes[0].Local()} {
				_, err := l.Take(t.Context(), tt.req)
				want, text := tt.want, tt.text
				if name == "Local" && tt.req.Namespace != "" { // whoever forwards has resolved it
					want, text = bucketring.ErrInvalid, "resolves its policy"
				}
				if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
					t.Errorf("%s.Take with %s = %v, want %v with %q", name, tt.name, err, want, text)
				}
			}
		}
		checkCharged(t, c, "")
		if asks := c.wires.asked(); len(asks) > 0 {
			t.Errorf("asks = %v, want none", asks)
		}
		mustTake(t, c.nodes[0], take(strings.Repeat("k", 512), nine[:8])) // just allowed
	})
}

// TestCosts: what cost 0 and a cost above the capacity get, at every node.
func TestCosts(t *testing.T) {
	for _, a := range bucketring.Algorithms() {
		synctest.Test(t, func(t *testing.T) {
			c := newCluster(t, 2)
			l := tenAnHour(t, a)
			for owner := range 2 {
				key := c.keyOf(owner)
				do := func(cost int64) bucketring.Decision {
					return mustTake(t, c.nodes[0], bucketring.Request{Key: key, Limits: l, Cost: cost})
				}
				if d := do(11); d.Allowed || d.RetryAfter != bucketring.Never || d.Remaining != 10 {
					t.Errorf("%v: Take of 11 = %+v, want a denial for ever", a, d)
				}
				if d := do(10); !d.Allowed || d.Remaining != 0 {
					t.Errorf("%v: Take of 10 after one of 11 = %+v, want all of it", a, d)
				}
				if d := do(0); !d.Allowed || d.Remaining != 0 || d.RetryAfter != 0 {
					t.Errorf("%v: Take of 0 from an empty limit = %+v, want it allowed", a, d)
				}
				if d := do(1); d.Allowed || d.RetryAfter <= 0 || d.RetryAfter == bucketring.Never {
					t.Errorf("%v: Take of 1 from an empty limit = %+v, want a denial that ends", a, d)
				}
			}
		})
	}
}

// TestSameDecisionFromEveryNode: where a call enters changes who took it and
// nothing else.
func TestSameDecisionFromEveryNode(t *testing.T) {
	for _, text := range []string{"10/m", "7/13s algorithm=fixed_window", "9/m algorithm=sliding_window", "10/m, 5/h", "1/m, 5/h, 0/d"} {
		synctest.Test(t, func(t *testing.T) {
			// The same call at clusters that differ in nothing but the door.
			var want string
			for door := range 3 {
				c := newCluster(t, 3)
				for i := range 8 {
					mustTake(t, c.nodes[i%3], take("k", limits(t, text)))
				}
				d := mustTake(t, c.nodes[door], take("k", limits(t, text)))
				if d.Node != nodeName(door) {
					t.Errorf("Node = %q, want %q", d.Node, nodeName(door))
				}
				d.Node = ""
				got := fmt.Sprintf("%+v", d)
				if door > 0 && got != want {
					t.Errorf("Take with %s at %s = %s, at n1 it was %s", text, nodeName(door), got, want)
				}
				want = got
			}
		})
	}
}

// TestExplain: every node tells the owner of a key, and its replica, which is the
// owner in the ring without that owner.
func TestExplain(t *testing.T) {
	for _, size := range []int{1, 2, 3, 5} {
		c := newCluster(t, size)
		for i := range 24 {
			key := fmt.Sprint("key-", i)
			owner := nodeName(c.owner(key))
			var others []string
			for _, name := range names(size) {
				if name != owner {
					others = append(others, name)
				}
			}
			replica, _ := c.ring("", others...).Owner(c.partition(key))
			want := node.Explanation{Partition: c.partition(key), Owner: owner, Replica: replica.Name}
			for j, n := range c.nodes {
				if i > 5 && (i+j)%size != 0 {
					continue // a ring for each is slow
				}
				if got, err := n.Explain(bucketring.Request{Key: key}); err != nil || got != want {
					t.Errorf("Explain(%q) at %s of %d = %+v, %v, want %+v", key, nodeName(j), size, got, err, want)
				}
			}
		}
	}
}

func TestExplainWithoutMembers(t *testing.T) {
	c := newCluster(t, 1)
	c.nodes[0].SetRing(c.ring("n1"))
	want := node.Explanation{Partition: c.partition("k")}
	if got, err := c.nodes[0].Explain(bucketring.Request{Key: "k"}); err != nil || got != want {
		t.Errorf("Explain without members = %+v, %v, want %+v", got, err, want)
	}
}
