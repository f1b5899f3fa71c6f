package node

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/bucketring/bucketring/ring/handover"
)

// TestLenderBound has nodes borrow, spend, lose and forget slices at random, with answers
// that come late or never. What they could spend at one moment is never more than what may
// be lent.
func TestLenderBound(t *testing.T) {
	const rounds = 2000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	granted := 0
	for range rounds {
		granted += lenderRound(t, r)
	}
	if granted < rounds {
		t.Errorf("%d slices were lent in %d rounds, want more than one in each", granted, rounds)
	}
}

// A heldSlice is what a borrower has, or has on its way.
type heldSlice struct {
	id, tokens, until int64
	comes             int64 // when it arrives
}

func lenderRound(t *testing.T, r *rand.Rand) (granted int) {
	var l lender
	limit := lending{capacity: 1 + r.Int64N(10_000), rate: 1 + r.Float64()*1000}
	limit.most = 4 + r.Int64N(limit.capacity)
	nodes := []handover.Node{{Name: "a", Boot: 1}, {Name: "b", Boot: 1}, {Name: "c", Boot: 1}}
	held, seen := map[handover.Node][]heldSlice{}, map[handover.Node]int64{}
	for now := int64(1); now < int64(20*time.Second); now += r.Int64N(int64(200 * time.Millisecond)) {
		to := nodes[r.IntN(len(nodes))]
		left := int64(0)
		for i := range held[to] {
			s := &held[to][i]
			if s.comes <= now && s.until > now {
				s.tokens -= r.Int64N(s.tokens + 1)
				left += s.tokens
				seen[to] = max(seen[to], s.id)
			}
		}
		limit.tokens = r.Int64N(limit.capacity + 1)
		a := asking{demand: r.Float64() * 2000, left: left, least: 1 + r.Int64N(3), seen: uint64(seen[to])}
		if g := l.offer(now, to, 7, a, []lending{limit}); g > 0 {
			if g < busyCalls*a.least || g > limit.tokens {
				t.Fatalf("%d of %d tokens were lent for calls of %d", g, limit.tokens, a.least)
			}
			granted++
			until := now + sliceLife
			id := l.lent(to, 7, g, until)
			// In the order in which they were lent, as on a link.
			comes := now + r.Int64N(int64(50*time.Millisecond))
			if n := len(held[to]); n > 0 {
				comes = max(comes, held[to][n-1].comes)
			}
			held[to] = append(held[to], heldSlice{int64(id), g, until, comes})
		}
		out := int64(0)
		for _, all := range held {
			for _, s := range all {
				if s.until > now {
					out += s.tokens
				}
			}
		}
		if out > limit.most {
			t.Fatalf("%d tokens can be spent, at most %d may be lent", out, limit.most)
		}
		l.forget(now)
	}
	return granted
}

func TestLenderRefuses(t *testing.T) {
	plenty := lending{most: 100, tokens: 2000, capacity: 2000, rate: 1000}
	a := asking{demand: 200, least: 1}
	me, other := handover.Node{Name: "me"}, handover.Node{Name: "other"}
	for _, c := range []struct {
		name   string
		limits func() []lending
		ask    asking
		want   int64
	}{
		{"all that may be out", func() []lending { return []lending{plenty} }, a, 100},
		{"what the demand spends", func() []lending { return []lending{plenty} }, asking{demand: 40, least: 1}, 30},
		{"less what the node has", func() []lending { return []lending{plenty} }, asking{demand: 200, least: 1, left: 60}, 40},
		{"the least of all limits", func() []lending { return []lending{plenty, {most: 50, tokens: 900, capacity: 1000, rate: 1000}} }, a, 50},
		{"nothing of a bucket that is nearly empty", func() []lending { return []lending{{most: 100, tokens: 199, capacity: 2000, rate: 1000}} }, a, 0},
		{"nothing of a bucket that others empty", func() []lending { return []lending{{most: 100, tokens: 1000, capacity: 2000, rate: 200}} }, a, 0},
		{"nothing worth a few calls", func() []lending { return []lending{plenty} }, asking{demand: 40, least: 10}, 0},
	} {
		var l lender
		if got := l.offer(1, me, 1, c.ask, c.limits()); got != c.want {
			t.Errorf("%s: offer = %d, want %d", c.name, got, c.want)
		}
	}
	var l lender
	first := l.offer(1, me, 1, a, []lending{plenty})
	l.lent(me, 1, first, 1+sliceLife)
	if got := l.offer(2, other, 1, a, []lending{plenty}); got != 0 {
		t.Errorf("with all out, offer to another node = %d, want 0", got)
	}
	if got := l.offer(3, me, 1, asking{demand: 200, least: 1, seen: 1}, []lending{plenty}); got != 50 {
		t.Errorf("after all is spent, with another node as busy, offer = %d, want half of what may be out", got)
	}
	if l.forget(2 + demandFor + sliceLife); len(l.loans) != 0 {
		t.Errorf("%d loans are remembered when all is over, want 0", len(l.loans))
	}
}

func TestMeter(t *testing.T) {
	const beat = int64(100 * time.Millisecond)
	var m meter
	wanted := int64(0)
	for now := beat; now < int64(3*time.Second); now += beat {
		m.look(now, 2, 1) // 20 calls a second
		if wanted == 0 && m.wants(now, 0, 0, 0) {
			wanted = now
		}
	}
	if wanted < busyFor || wanted > 2*busyFor {
		t.Errorf("a slice is wanted after %v, want between %v and twice that", time.Duration(wanted), time.Duration(busyFor))
	}
	if m.demand < 19 || m.demand > 21 {
		t.Errorf("demand = %.1f, want about 20", m.demand)
	}
	now := int64(3 * time.Second)
	for _, c := range []struct {
		name              string
		left, size, until int64
		want              bool
	}{
		{"much left", 8, 20, now + sliceLife/2, false},
		{"a third left", 6, 20, now + sliceLife/2, true},
		{"much left that ends soon", 20, 20, now + sliceLife/10, true},
	} {
		if got := m.wants(now, c.left, c.size, c.until); got != c.want {
			t.Errorf("%s: wants = %v, want %v", c.name, got, c.want)
		}
	}
	m.asked = now
	if m.wants(now+1, 0, 0, 0) {
		t.Error("a second slice is wanted while a question has no answer")
	}
	m.asked = 0
	m.look(now, 0, 1)
	if m.wants(now, 0, 0, 0) {
		t.Error("a slice is wanted though nobody calls")
	}
}
