// travel_test.go takes counters to a node with another clock and compares them with
// what they would have been at home.

package bucket_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A journey has the same counter at home, and at another node since moved after noon.
type journey struct {
	home, away *holder
	moved      time.Duration
	delay      time.Duration // of the way
}

// eachKindDrawn is a property of every kind.
func eachKindDrawn(t *testing.T, holds func(t *rapid.T, l bucketring.Limit)) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		rapid.Check(t, func(t *rapid.T) { holds(t, l) })
	})
}

// rounding is by how much a clock of a kind may be late beside the delay: starts of
// windows are whole milliseconds, token buckets count microseconds.
const rounding = 2 * time.Millisecond

// travel makes two equal counters by the same calls, and has one of them moved.
func travel(t *rapid.T, l bucketring.Limit, clock int64, at time.Duration, calls func(h *holder)) *journey {
	delay := time.Duration(rapid.Int64Range(0, int64(5*time.Millisecond)).Draw(t, "delay"))
	j := &journey{home: newHolder(l, 1), away: newHolder(l, 1), moved: at, delay: delay}
	calls(j.home)
	calls(j.away)
	j.away.moveTo(clock, at, delay)
	return j
}

// TestTravelKeepsWhatIsLeft: at the other node there is never more left than at home,
// and not less than at home a delay ago.
func TestTravelKeepsWhatIsLeft(t *testing.T) {
	eachKindDrawn(t, func(t *rapid.T, l bucketring.Limit) {
		var waits []time.Duration
		for range rapid.IntRange(1, 6).Draw(t, "calls") {
			waits = append(waits, time.Duration(rapid.Int64Range(0, int64(4*time.Second)).Draw(t, "wait")))
		}
		costs := rapid.SliceOfN(rapid.Int64Range(1, 1<<17), len(waits), len(waits)).Draw(t, "costs")
		at := time.Duration(0)
		j := travel(t, l, clockOf(t), 25*time.Second, func(h *holder) {
			at = 0
			for i, wait := range waits {
				at += wait
				h.take(h.now(at), costs[i])
			}
		})
		d := j.moved + j.delay + rounding + time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "later"))
		if rapid.Bool().Draw(t, "near the end") { // of what began with the first call
			d = waits[0] + time.Minute + time.Duration(rapid.Int64Range(-int64(rounding), int64(rounding)).Draw(t, "beside"))
		}
		before := j.home.now(d - j.delay - rounding)
		before.Wall = j.home.now(d).Wall // that clock is the same everywhere
		least := seen(j.home.table, j.home.c, before)[0].Remaining
		most := seen(j.home.table, j.home.c, j.home.now(d))[0].Remaining
		if got := seen(j.away.table, j.away.c, j.away.now(d))[0].Remaining; got > most || got < least {
			t.Fatalf("%v: Remaining = %d at %v, want between %d and %d", j.home.c.Limit, got, d, least, most)
		}
	})
}

// TestTravelToYoungClock: at a node that has begun later than a window or a lease, it
// ends no earlier.
func TestTravelToYoungClock(t *testing.T) {
	eachKindDrawn(t, func(t *rapid.T, l bucketring.Limit) {
		young := rapid.Int64Range(0, int64(time.Minute)).Draw(t, "clock")
		j := travel(t, l, young-int64(25*time.Second), 25*time.Second, func(h *holder) { h.take(h.now(0), 9) })
		for _, d := range []time.Duration{26 * time.Second, 59 * time.Second, 59*time.Second + 999*time.Millisecond} {
			most := seen(j.home.table, j.home.c, j.home.now(d))[0].Remaining
			if got := seen(j.away.table, j.away.c, j.away.now(d))[0].Remaining; got > most {
				t.Fatalf("%v: Remaining = %d at %v, want at most %d", j.home.c.Limit, got, d, most)
			}
		}
	})
}

// TestTravelOfLeases: leases keep their ids, costs and lives, end a delay later, and can
// be renewed and released.
func TestTravelOfLeases(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := concurrent()
		l.MaxAge = rapid.SampledFrom([]time.Duration{0, 90 * time.Second}).Draw(t, "age")
		h := newHolder(l, 1)
		count := rapid.IntRange(1, 5).Draw(t, "leases")
		for i := range count {
			h.table.Apply(take(int64(i%3+1), i), h.c, h.now(time.Duration(i)*time.Second))
		}
		at, delay := 10*time.Second, time.Duration(rapid.Int64Range(0, int64(5*time.Millisecond)).Draw(t, "delay"))
		clock := rapid.Int64Range(0, int64(1000*time.Hour)).Draw(t, "clock")
		want := leasesOf(h, at, 0)
		h.moveTo(clock, at, delay)
		if diff := gocmp.Diff(want, leasesOf(h, at, delay)); diff != "" {
			t.Fatalf("leases at the other node (-want +got):\n%s", diff)
		}
		ended := rapid.IntRange(0, count-1).Draw(t, "ended")
		if _, ok := h.table.Renew(0, idOf(ended), h.now(at+delay)); !ok {
			t.Fatal("Renew at the other node = false, want true")
		}
		if !h.table.Release(0, idOf(ended), h.now(at+delay)) || h.table.Release(0, idOf(ended), h.now(at+delay)) {
			t.Fatal("the first Release = false, or the second = true")
		}
		if got := h.table.Apply(take(1, 99), h.c, h.now(at+delay)); got.Used != h.costs(count)-int64(ended%3+1)+1 {
			t.Fatalf("take after a release = %+v, want Used %d", got, h.costs(count)-int64(ended%3+1)+1)
		}
	})
}

// costs is what the leases of TestTravelOfLeases cost.
func (h *holder) costs(count int) (sum int64) {
	for i := range count {
		sum += int64(i%3 + 1)
	}
	return sum
}

// leasesOf returns the leases of a holder, timed from noon and the delay.
func leasesOf(h *holder, at, delay time.Duration) []bucket.Lease {
	var all []bucket.Lease
	from := h.now(delay)
	for _, r := range h.table.Export(0, h.now(at+delay)).Relative(from).Records {
		for _, m := range r.Marks {
			all = append(all, m.Leases...)
		}
	}
	slices.SortFunc(all, func(a, b bucket.Lease) int { return cmp.Compare(string(a.ID[:]), string(b.ID[:])) })
	return all
}

// TestTravelOfReservations: a reservation keeps its id and what it has charged, ends a
// delay later, and is settled at the other node as it would be at home, in its window.
func TestTravelOfReservations(t *testing.T) {
	eachKindDrawn(t, func(t *rapid.T, l bucketring.Limit) {
		if l.Kind == bucketring.KindConcurrency {
			return // has leases
		}
		reserve := rapid.Int64Range(0, 9).Draw(t, "reserve")
		j := travel(t, l, clockOf(t), 5*time.Second, func(h *holder) {
			h.table.Apply(take(reserve, 1), h.c, h.now(0))
			h.take(h.now(time.Second), 20)
		})
		want, got := reservedOf(j.home, j.moved, 0), reservedOf(j.away, j.moved, j.delay)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Fatalf("%v: reservations at the other node (-want +got):\n%s", j.home.c.Limit, diff)
		}
		d := rapid.SampledFrom([]time.Duration{6 * time.Second, 20 * time.Second, 80 * time.Second}).Draw(t, "settled")
		cost := rapid.Int64Range(0, 30).Draw(t, "cost")
		if isBucket(*j.home.c.Limit) {
			cost = max(cost, reserve) // what has refilled is not given back: a delay later
		}
		one, ok1 := j.home.table.Settle(0, idOf(1), cost, 0, j.home.now(d))
		two, ok2 := j.away.table.Settle(0, idOf(1), cost, 0, j.away.now(d))
		late := int64(0)
		if isBucket(*j.home.c.Limit) {
			late = 1 + int64(j.delay+rounding)*j.home.c.Limit.Amount/int64(j.home.c.Limit.Per)
		}
		if ok1 != ok2 || two.Repeated || two.Result.Used < one.Result.Used || two.Result.Used > one.Result.Used+late {
			t.Fatalf("%v: Settle(%d) of %d at %v: %+v, %v, want as at home: %+v, %v", j.home.c.Limit, cost, reserve, d, two, ok2, one, ok1)
		}
		if again, ok := j.away.table.Settle(0, idOf(1), cost, 0, j.away.now(d)); ok != ok2 || ok && !again.Repeated {
			t.Fatalf("the second Settle = %+v, %v, want it to be repeated", again, ok)
		}
	})
}

// reservedOf returns the reservations of a holder, timed from noon and the delay. What
// tells windows apart differs from clock to clock.
func reservedOf(h *holder, at, delay time.Duration) []bucket.Reserved {
	all := h.table.Export(0, h.now(at+delay)).Relative(h.now(delay)).Reserved
	for i := range all {
		all[i].Limit = nil
		if l := h.c.Limit; l.Align == bucketring.AlignFirstRequest && l.Per != bucketring.Month {
			all[i].Window = 0
		}
	}
	return all
}
