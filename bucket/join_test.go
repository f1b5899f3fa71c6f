// join_test.go holds the laws of joining: what order states are heard in, and how
// often, makes no difference, and nobody gets more than before.

package bucket_test

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A kind is a limit whose counters have a form of their own.
type kind struct {
	name  string
	limit bucketring.Limit
}

// kinds are all of them, each with room for every call of these tests.
func kinds() []kind {
	const many = 1 << 20
	window := func(align bucketring.Align, amount int64, per time.Duration) bucketring.Limit {
		return bucketring.Limit{Algorithm: bucketring.FixedWindow, Align: align, Amount: amount, Per: per}
	}
	leases := concurrent()
	leases.Amount = many
	return []kind{
		{"bucket", bucketring.Limit{Amount: many, Per: 30 * 24 * time.Hour}},
		{"wide bucket", bucketring.Limit{Amount: 100000007, Per: 11 * time.Hour}},
		{"epoch", window(bucketring.AlignEpoch, many, time.Minute)},
		{"wide epoch", window(bucketring.AlignEpoch, bucketring.Unlimited, time.Minute)},
		{"calendar", window(bucketring.AlignCalendar, many, bucketring.Month)},
		{"first", window(bucketring.AlignFirstRequest, many, time.Minute)},
		{"wide first", window(bucketring.AlignFirstRequest, 1<<40, time.Minute)},
		{"first month", window(bucketring.AlignFirstRequest, many, bucketring.Month)},
		{"sliding", bucketring.Limit{Algorithm: bucketring.SlidingWindow, Amount: many, Per: time.Minute}},
		{"level", levelOf(many)},
		{"leases", leases},
	}
}

// eachKind runs a test for every kind.
func eachKind(t *testing.T, run func(t *testing.T, l bucketring.Limit)) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) { run(t, k.limit) })
	}
}

// isBucket reports whether a limit is a token bucket: takes at two places do not add up.
func isBucket(l bucketring.Limit) bool {
	return l.Kind == bucketring.KindRate && l.Algorithm == bucketring.TokenBucket
}

// drawMarks draws what a place may know. A word of a lineage at a Gen and Seq is the
// same everywhere.
func drawMarks(t *rapid.T, name string) (marks []bucket.Mark) {
	for lineage := range uint64(4) {
		if rapid.Bool().Draw(t, name) {
			gen, seq := rapid.Uint64Range(0, 2).Draw(t, "gen"), rapid.Uint64Range(0, 2).Draw(t, "seq")
			marks = append(marks, bucket.Mark{Lineage: lineage, Gen: gen, Seq: seq, N: int64(lineage*100 + gen*10 + seq)})
		}
	}
	return marks
}

// TestJoinMarksLaws: commutative, associative, idempotent, and the latest word wins.
func TestJoinMarksLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawMarks(t, "a"), drawMarks(t, "b"), drawMarks(t, "c")
		keptA, keptB := slices.Clone(a), slices.Clone(b)
		ab := bucket.JoinMarks(a, b)
		for _, law := range []struct {
			name      string
			got, want []bucket.Mark
		}{
			{"a⊔b and b⊔a", bucket.JoinMarks(b, a), ab},
			{"a⊔a and a", bucket.JoinMarks(a, a), bucket.JoinMarks(a, nil)},
			{"a⊔b⊔a and a⊔b", bucket.JoinMarks(ab, a), ab},
			{"a⊔(b⊔c) and (a⊔b)⊔c", bucket.JoinMarks(a, bucket.JoinMarks(b, c)), bucket.JoinMarks(ab, c)},
			{"a before and after", a, keptA},
			{"b before and after", b, keptB},
		} {
			if diff := cmp.Diff(law.want, law.got); diff != "" {
				t.Fatalf("%s differ (-want +got):\n%s", law.name, diff)
			}
		}
		for _, m := range ab {
			for _, o := range slices.Concat(a, b) {
				if o.Lineage == m.Lineage && (o.Gen > m.Gen || o.Gen == m.Gen && o.Seq > m.Seq) {
					t.Fatalf("JoinMarks(%v, %v) = %v, which has an old word of lineage %d", a, b, ab, m.Lineage)
				}
			}
		}
	})
}

// A site is a place that counts one key for a lineage.
type site struct {
	table *bucket.Table
	c     bucket.Counter
	ids   int // of leases
	sum   int64
}

func newSite(l bucketring.Limit, lineage uint64) *site {
	table := bucket.New(bucket.Config{Closed: true})
	table.Open(0, 1, lineage, nil, noon)
	return &site{table: table, c: bucket.Counter{Key: "k", Limit: &l}, ids: int(lineage) * 1000}
}

// take takes n and adds it up.
func (s *site) take(now bucket.Now, n int64) bucket.Result {
	s.ids++
	op := bucket.Op{N: n}
	if s.c.Limit.Kind == bucketring.KindConcurrency {
		op.ID = idOf(s.ids)
	}
	res := s.table.Apply(op, s.c, now)
	if res.Allowed {
		s.sum += n
	}
	return res
}

// some takes, and now and then gives back, sets or ends what it has itself.
func (s *site) some(t *rapid.T, now bucket.Now) {
	l := s.c.Limit
	for range rapid.IntRange(0, 3).Draw(t, "calls") {
		n := rapid.Int64Range(1, 9).Draw(t, "n")
		switch what := rapid.IntRange(0, 5).Draw(t, "what"); {
		case what == 0 && l.Kind == bucketring.KindLevel: // as the application says, the same everywhere
			s.table.Apply(bucket.Op{Verb: bucketring.VerbSet, N: 100 * n, Version: n}, s.c, now)
		case what == 0 && l.Kind == bucketring.KindConcurrency:
			s.table.Release(0, idOf(s.ids), now)
		case what == 0 && l.Kind == bucketring.KindRate && s.sum >= n:
			s.table.Do(bucketring.VerbRefund, s.c, now, n)
			s.sum -= n
		default:
			s.take(now, n)
		}
	}
}

// seen is all that a caller can see of a counter.
func seen(table *bucket.Table, c bucket.Counter, now bucket.Now) [2]bucket.Result {
	return [2]bucket.Result{table.Do(bucketring.VerbPeek, c, now, 0), table.Do(bucketring.VerbPeek, c, now, 1)}
}

// orders are ways to hear three states, each at least once.
var orders = [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {2, 1, 0}, {1, 1, 2, 0, 1}, {2, 0, 2, 1, 2, 0}, {0, 1, 0, 1, 2, 1}}

// TestJoinInAnyOrder: three lineages have counted one key, and two of them have heard
// of others at some moment. Whoever hears all three answers the same, in any order
// and with repeats, and has no more left than any of them.
func TestJoinInAnyOrder(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		rapid.Check(t, func(t *rapid.T) {
			sites := []*site{newSite(l, 1), newSite(l, 2), newSite(l, 3)}
			for i, s := range sites {
				s.some(t, after(time.Duration(i)*time.Second))
			}
			for _, pair := range [][2]int{{1, 0}, {2, 1}} {
				if rapid.Bool().Draw(t, "heard") {
					sites[pair[0]].table.Join(0, sites[pair[1]].table.Export(0, after(4*time.Second)), after(4*time.Second))
				}
			}
			var states []*bucket.State
			least := l.Capacity()
			for i, s := range sites {
				s.take(after(time.Duration(5+i)*time.Second), rapid.Int64Range(1, 9).Draw(t, "last"))
				states = append(states, s.table.Export(0, after(9*time.Second)))
				least = min(least, seen(s.table, s.c, after(9*time.Second))[0].Remaining)
			}
			checkOrders(t, sites[0].c, states, least)
		})
	})
}

// checkOrders hears the states in all orders: as who goes on with the first, or as
// somebody else.
func checkOrders(t *rapid.T, c bucket.Counter, states []*bucket.State, least int64) {
	now, later := after(9*time.Second), after(12*time.Second)
	var want [2][2]bucket.Result
	for i, order := range orders {
		table, lineage := bucket.New(bucket.Config{Closed: true}), uint64(9)
		if i%2 == 0 {
			lineage = states[order[0]].Lineage
		}
		table.Open(0, 5, lineage, states[order[0]], now)
		for _, s := range order[1:] {
			table.Join(0, states[s], now)
		}
		got := [2][2]bucket.Result{seen(table, c, now), seen(table, c, later)}
		if i == 0 {
			want = got
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%v heard in the orders %v and %v (-want +got):\n%s", c.Limit, orders[0], order, diff)
		}
		if got[0][0].Remaining > least {
			t.Fatalf("%v: Remaining = %d after a join of states with at least %d", c.Limit, got[0][0].Remaining, least)
		}
	}
}

// TestJoinAddsUp: takes of windows and levels, and leases, add up. A token bucket is as
// empty as the emptiest.
func TestJoinAddsUp(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		table, sum, most := newSite(l, 9), int64(0), int64(0)
		for i, n := range []int64{5, 7, 3} {
			other := newSite(l, uint64(i))
			other.take(noon, n)
			table.table.Join(0, other.table.Export(0, noon), noon)
			sum, most = sum+n, max(most, n)
		}
		want := sum
		if isBucket(l) {
			want = most
		}
		if got := used(table.table, table.c, noon); got != want {
			t.Errorf("Used after joining takes of 5, 7 and 3 = %d, want %d", got, want)
		}
	})
}

// TestJoinLosesNoCharge: while many take, another lineage is heard again and again.
// Exactly what it has left is admitted.
func TestJoinLosesNoCharge(t *testing.T) {
	const takers, amount, theirs = 4, 2000, 7
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		if isBucket(l) {
			l.Burst = amount // a wide one stays wide
		} else {
			l.Amount = amount
		}
		here, other := newSite(l, 1), newSite(l, 2)
		other.take(noon, theirs)
		s := other.table.Export(0, noon)
		here.table.Join(0, s, noon)
		var admitted, running atomic.Int64
		running.Store(takers)
		var wg sync.WaitGroup
		for w := range takers {
			wg.Go(func() {
				defer running.Add(-1)
				for i := range amount {
					op := bucket.Op{N: 1}
					if l.Kind == bucketring.KindConcurrency {
						op.ID = idOf(1<<20 + i*takers + w)
					}
					if here.table.Apply(op, here.c, noon).Allowed {
						admitted.Add(1)
					}
				}
			})
		}
		for running.Load() > 0 {
			here.table.Join(0, s, noon)
			runtime.Gosched()
		}
		wg.Wait()
		if got := admitted.Load(); got != amount-theirs {
			t.Errorf("admitted %d of %d while %d were heard, want %d", got, amount, theirs, amount-theirs)
		}
	})
}

// TestJoinUnderOtherAmounts: a state under another amount of the limit counts, under
// the amount that holds here.
func TestJoinUnderOtherAmounts(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			here, there := newSite(shape, 1), newSite(shape, 2)
			there.c.Limit = new(*there.c.Limit)
			there.c.Limit.Amount = 40
			here.take(noon, 1)
			there.take(noon, 35)
			here.table.Join(0, there.table.Export(0, noon), noon)
			got := seen(here.table, here.c, noon)[0]
			if got.Remaining > 5 || here.take(noon, 6).Allowed {
				t.Errorf("peek after a join of 35 of 40 = %+v, want at most 5 of 10 left, and no more given", got)
			}
		})
	}
}
