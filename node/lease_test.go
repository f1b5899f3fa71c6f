package node

import (
	"math"
	"math/rand/v2"
	"slices"
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
	comes             int64 // when it arrives; after until it is of no use
}

// overlapping are bundles that share counters, by their limits' places.
var overlapping = [][]int{{0}, {0, 1}, {1, 2}, {0}}

func lenderRound(t *testing.T, r *rand.Rand) (granted int) {
	var l lender
	limits := make([]lending, 3)
	for i := range limits {
		limits[i] = lending{capacity: 1 + r.Int64N(10_000), rate: 1 + r.Float64()*1000, counter: counterID{part: uint32(i)}}
		limits[i].most = 4 + r.Int64N(limits[i].capacity)
	}
	held, seen := map[borrowerID][]heldSlice{}, map[borrowerID]int64{}
	for now := int64(1); now < int64(20*time.Second); now += r.Int64N(int64(200 * time.Millisecond)) {
		bundle := r.IntN(len(overlapping))
		from := borrowerID{handover.Node{Name: string(rune('a' + r.IntN(3)))}, uint64(bundle)}
		left := int64(0)
		for i := range held[from] {
			s := &held[from][i]
			if s.comes <= now && s.comes < s.until {
				seen[from] = max(seen[from], s.id)
				if s.until > now {
					s.tokens -= r.Int64N(s.tokens + 1)
					left += s.tokens
				}
			}
		}
		var of []lending
		scarce := int64(math.MaxInt64)
		for _, i := range overlapping[bundle] {
			limits[i].tokens = r.Int64N(limits[i].capacity + 1)
			scarce = min(scarce, limits[i].tokens)
			of = append(of, limits[i])
		}
		a := asking{from: from, demand: r.Float64() * 2000, left: left, least: 1 + r.Int64N(3), seen: uint64(seen[from])}
		if g := l.offer(now, a, sliceLife, of); g > 0 {
			if g < busyCalls*a.least || g > scarce {
				t.Fatalf("%d of %d tokens were lent for calls of %d", g, scarce, a.least)
			}
			granted++
			id := l.lent(from, g, now+sliceLife)
			// In the order in which they were lent, as on a link; sometimes far too late.
			comes := now + r.Int64N(int64(50*time.Millisecond))
			if r.IntN(20) == 0 {
				comes += 2 * sliceLife
			}
			if n := len(held[from]); n > 0 {
				comes = max(comes, held[from][n-1].comes)
			}
			held[from] = append(held[from], heldSlice{int64(id), g, now + sliceLife, comes})
		}
		for i := range limits {
			if out := spendable(held, i, now); out > limits[i].most {
				t.Fatalf("%d tokens of counter %d can be spent, at most %d may be lent", out, i, limits[i].most)
			}
		}
		l.forget(now)
	}
	return granted
}

// spendable is what all that have borrowed from a counter can spend.
func spendable(held map[borrowerID][]heldSlice, counter int, now int64) (out int64) {
	for from, all := range held {
		if !slices.Contains(overlapping[from.account], counter) {
			continue
		}
		for _, s := range all {
			if s.until > now {
				out += s.tokens
			}
		}
	}
	return out
}

func TestLenderRefuses(t *testing.T) {
	plenty := lending{most: 100, tokens: 2000, capacity: 2000, rate: 1000}
	me, other := borrowerID{handover.Node{Name: "me"}, 1}, borrowerID{handover.Node{Name: "other"}, 1}
	a := asking{from: me, demand: 200, least: 1}
	offer := func(l *lender, now int64, a asking, limits ...lending) int64 {
		return l.offer(now, a, sliceLife, limits)
	}
	for _, c := range []struct {
		name   string
		limits []lending
		ask    asking
		want   int64
	}{
		{"all that may be out", []lending{plenty}, a, 100},
		{"what the demand spends", []lending{plenty}, asking{from: me, demand: 40, least: 1}, 30},
		{"less what the node has", []lending{plenty}, asking{from: me, demand: 200, least: 1, left: 60}, 40},
		{"the least of all limits", []lending{plenty, {most: 50, tokens: 900, capacity: 1000, rate: 1000, counter: counterID{part: 1}}}, a, 50},
		{"nothing of a bucket that is nearly empty", []lending{{most: 100, tokens: 199, capacity: 2000, rate: 1000}}, a, 0},
		{"nothing of a bucket that others empty", []lending{{most: 100, tokens: 1000, capacity: 2000, rate: 200}}, a, 0},
		{"nothing worth a few calls", []lending{plenty}, asking{from: me, demand: 40, least: 10}, 0},
	} {
		var l lender
		if got := offer(&l, 1, c.ask, c.limits...); got != c.want {
			t.Errorf("%s: offer = %d, want %d", c.name, got, c.want)
		}
	}
	var l lender
	first := offer(&l, 1, a, plenty)
	l.lent(me, first, 1+sliceLife)
	if got := offer(&l, 2, asking{from: other, demand: 200, least: 1}, plenty); got != 0 {
		t.Errorf("with all out, offer to another node = %d, want 0", got)
	}
	if got := offer(&l, 3, asking{from: me, demand: 200, least: 1, seen: 1}, plenty); got != 50 {
		t.Errorf("after all is spent, with another node as busy, offer = %d, want half of what may be out", got)
	}
	if got := offer(&l, 4, asking{from: me, demand: 200, least: 1, seen: 1}, lending{most: 100, tokens: 2000, capacity: 2000, counter: counterID{part: 7}}); got != 0 {
		t.Errorf("offer of another bundle to the same account = %d, want 0", got)
	}
	l.lent(me, 10, 5+sliceLife)
	late := 5 + 2*sliceLife
	if got := offer(&l, late, asking{from: me, demand: 200, least: 1, seen: 1}, plenty); got != 0 {
		t.Errorf("after a slice that never came, offer = %d, want 0", got)
	}
	var over lender
	over.lent(me, offer(&over, 1, asking{from: me, demand: 80, least: 1}, plenty), 1+sliceLife) // 60
	ended := 2 + sliceLife
	if got := offer(&over, ended, asking{from: me, demand: 200, least: 1, seen: 1}, plenty); got != 40 {
		t.Errorf("with 60 of a slice on their way back, offer = %d, want 40", got)
	}
	if got := offer(&over, ended+returnsWithin, asking{from: me, demand: 200, least: 1, seen: 1}, plenty); got != 100 {
		t.Errorf("once the slice is back, offer = %d, want 100", got)
	}
	if l.forget(late + demandFor + sliceLife); len(l.to)+len(l.of) != 0 {
		t.Errorf("%d accounts and %d counters are remembered when all is over, want none", len(l.to), len(l.of))
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
	if !m.wants(now, 0, 0, 0) {
		t.Error("no slice is wanted after a moment without calls")
	}
	m.look(now+quietFor, 0, 1)
	if m.wants(now+quietFor, 0, 0, 0) {
		t.Error("a slice is wanted though nobody calls")
	}
}
