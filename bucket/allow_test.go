package bucket_test

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// An asker has a table of its own and asks it about one counter in some way.
type asker struct {
	table *bucket.Table
	c     bucket.Counter
	try   func(now bucket.Now, n int64) (allowed, done bool)
	gen   uint64 // how often the counter has moved
}

// askers ask for a whole answer, for a yes or a no, and for that of a counter that was found
// before.
func askers(l *bucketring.Limit) (full, brief, held *asker) {
	ask := func() *asker {
		a := &asker{table: bucket.New(bucket.Config{}), c: bucket.Counter{Key: "k", Limit: l}}
		a.try = func(bucket.Now, int64) (allowed, done bool) { return false, false }
		return a
	}
	full, brief, held = ask(), ask(), ask()
	brief.try = func(now bucket.Now, n int64) (allowed, done bool) {
		return brief.table.TryAllow(brief.table.Place(0, "k", l), "k", l, now, n)
	}
	held.try = held.table.Held(held.table.Place(0, "k", l), "k", l).TryAllow
	return full, brief, held
}

func (a *asker) take(now bucket.Now, n int64) bool {
	if allowed, done := a.try(now, n); done {
		return allowed
	}
	return a.table.Take(a.c, now, n).Allowed
}

// happen has something happen to the counter, after which what was found before may be gone.
func (a *asker) happen(what int, now bucket.Now) {
	switch what {
	case 0:
		a.table.Sweep(now, 1)
	case 1:
		a.table.Do(bucketring.VerbRefund, a.c, now, 1)
	case 2:
		lower := *a.c.Limit
		lower.Amount = max(lower.Amount/2, 1)
		a.table.Take(bucket.Counter{Key: "k", Limit: &lower}, now, 1)
	case 3:
		a.gen++
		a.table.Open(0, a.gen, 1, a.table.Close(0, now), now)
	}
}

// TestAllowIsTake: whoever asks for a yes or a no gets what Take says, and leaves what it
// leaves, whatever happens to the counter in between.
func TestAllowIsTake(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				l := drawLimit(t, shape)
				full, brief, held := askers(&l)
				now := int64(1e18)
				for range rapid.IntRange(1, 60).Draw(t, "calls") {
					now += rapid.Int64Range(0, int64(l.Per)/rapid.SampledFrom([]int64{1, 10, 1000}).Draw(t, "pace")).Draw(t, "wait")
					at, n := bucket.Now{Mono: now, Wall: now}, drawCost(t, l)
					what := rapid.IntRange(0, 9).Draw(t, "what")
					if what == 9 {
						n = rapid.SampledFrom([]int64{0, 1<<63 - 1}).Draw(t, "extreme")
					}
					full.happen(what, at)
					want := full.take(at, n)
					left := full.table.Do(bucketring.VerbPeek, full.c, at, 0)
					for name, a := range map[string]*asker{"TryAllow": brief, "Held.TryAllow": held} {
						a.happen(what, at)
						if got := a.take(at, n); got != want {
							t.Fatalf("%s of %d with %v = %v, Take says %v", name, n, l, got, want)
						}
						if got := a.table.Do(bucketring.VerbPeek, a.c, at, 0); got != left {
							t.Fatalf("%s of %d with %v leaves %+v, Take leaves %+v", name, n, l, got, left)
						}
					}
				}
			})
		})
	}
}

// TestHeldLooksAgain: a counter that was dropped, replaced or moved is not charged any more
// where it was found, nor one that is away at all.
func TestHeldLooksAgain(t *testing.T) {
	l := shapes()[0]
	_, _, held := askers(&l)
	if _, done := held.try(noon, 1); done {
		t.Error("a counter that nobody has made is found")
	}
	held.take(noon, 1)
	for what := range 4 {
		if _, done := held.try(noon, 0); !done {
			t.Fatalf("before %d: the counter is not found", what)
		}
		held.happen(what, noon)
		held.take(noon, 1) // under the old amount again
	}
	if left := held.table.Do(bucketring.VerbPeek, held.c, noon, 0).Remaining; left == l.Capacity() {
		t.Errorf("%d of %d are left, want some gone", left, l.Capacity())
	}
	held.table.Close(0, noon)
	if _, done := held.try(noon, 1); done {
		t.Error("a counter that is away is charged")
	}
	wide := l
	wide.Algorithm = bucketring.SlidingWindow
	_, _, held = askers(&wide)
	held.take(noon, 1)
	held.table.Close(0, noon)
	if _, done := held.try(noon, 1); done {
		t.Error("a wide counter that is away is charged")
	}
}

// TestHeldByMany: several who hold one counter, and one who has it moved all the time, admit
// what one limit does, and not one more.
func TestHeldByMany(t *testing.T) {
	const callers, calls, amount = 4, 20_000, 30_000
	l := bucketring.Limit{Name: "x", Amount: amount, Per: bucketring.MaxPer}
	_, _, held := askers(&l)
	var admitted atomic.Int64
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for done := 0; done < calls; {
				allowed, ok := held.try(noon, 1)
				if !ok {
					res := held.table.Take(held.c, noon, 1)
					allowed, ok = res.Allowed, !res.Away
				}
				if ok {
					done++
				}
				if allowed {
					admitted.Add(1)
				}
			}
		})
	}
	for range 200 {
		held.happen(3, noon)
	}
	all.Wait()
	if got := admitted.Load(); got != amount {
		t.Errorf("%d of %d calls are admitted, want %d", got, callers*calls, amount)
	}
}

// TestSlotsSurviveTheCollector: a slot's pointer leads into a bucket, not to its begin, and
// keeps it alive all the same.
func TestSlotsSurviveTheCollector(t *testing.T) {
	table := bucket.New(bucket.Config{})
	l := shapes()[0]
	key := func(i int) string { return strings.Repeat("k", i%60) + strconv.Itoa(i) } // of all kinds of buckets
	const keys = 5000
	for i := range keys {
		table.Take(bucket.Counter{Key: key(i), Limit: &l}, noon, int64(i%10)+1)
		if i%1000 == 0 {
			runtime.GC()
		}
	}
	runtime.GC()
	for i := range keys {
		res := table.Do(bucketring.VerbPeek, bucket.Counter{Key: key(i), Limit: &l}, noon, 0)
		if want := 9 - int64(i%10); res.Remaining != want {
			t.Fatalf("key %d has %d remaining, want %d", i, res.Remaining, want)
		}
	}
}
