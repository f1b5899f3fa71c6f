package bucket_test

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
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

// TestHeldByMany: several who hold one counter admit together what its limit has, whatever
// others do with it, and the last copy of it is how it ends.
func TestHeldByMany(t *testing.T) {
	const amount = 20_000
	for name, l := range map[string]bucketring.Limit{
		"word":    {Amount: amount, Per: bucketring.MaxPer},
		"wide":    {Amount: amount + 11, Burst: amount, Per: bucketring.MaxPer},
		"fixed":   {Amount: amount, Per: bucketring.MaxPer, Algorithm: bucketring.FixedWindow},
		"first":   {Amount: amount, Per: bucketring.MaxPer, Algorithm: bucketring.FixedWindow, Align: bucketring.AlignFirstRequest},
		"sliding": {Amount: amount, Per: bucketring.MaxPer, Algorithm: bucketring.SlidingWindow},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, held := askers(&l)
			held.table.TrackChanges(true)
			var admitted atomic.Int64
			var last follower
			stop := make(chan struct{})
			var callers, others sync.WaitGroup
			others.Go(func() { last.follow(held.table, stop) })
			others.Go(func() { admitted.Add(held.disturb(stop)) })
			for range 3 {
				callers.Go(func() { admitted.Add(held.drain()) })
			}
			callers.Wait()
			close(stop)
			others.Wait()
			if got := admitted.Load(); got != amount {
				t.Errorf("%d calls are admitted, want %d", got, amount)
			}
			last.look(held.table)
			if diff := cmp.Diff(held.table.Export(0, noon).Records[0].Marks[0].Slots, last.mark.Slots); diff != "" {
				t.Errorf("slots of the table (-) and its last copy (+):\n%s", diff)
			}
			if now := held.table.Export(0, noon).Records[0].Marks[0]; now.At != last.mark.At || now.N != last.mark.N || now.Part != last.mark.Part {
				t.Errorf("the last copy is %+v, the table has %+v", last.mark, now)
			}
		})
	}
}

// drain takes until two thousand calls were denied, and returns how many were not.
func (a *asker) drain() (admitted int64) {
	for denied := 0; denied < 2000; {
		allowed, here := a.try(noon, 1)
		if !here {
			res := a.table.Take(a.c, noon, 1)
			allowed, here = res.Allowed, !res.Away
		}
		switch {
		case allowed:
			admitted++
		case here:
			denied++
		}
	}
	return admitted
}

// disturb has all that happens to counters happen, in turn, and returns how many calls it
// had admitted itself.
func (a *asker) disturb(stop <-chan struct{}) (admitted int64) {
	lower := *a.c.Limit
	if lower.Algorithm != bucketring.TokenBucket { // of a bucket tokens would be lost that way
		lower.Amount--
	}
	for turn := 0; ; turn++ {
		select {
		case <-stop:
			return admitted
		default:
		}
		switch turn % 4 {
		case 0:
			a.happen(0, noon)
		case 1:
			a.happen(3, noon)
		case 2:
			a.table.Join(0, a.table.Export(0, noon), noon)
		case 3:
			if a.table.Take(bucket.Counter{Key: "k", Limit: &lower}, noon, 1).Allowed {
				admitted++
			}
		}
	}
}

// A follower knows the last copy of the only counter of a table.
type follower struct{ mark bucket.Mark }

func (b *follower) look(table *bucket.Table) {
	for _, changed := range table.Changes(noon) {
		for _, r := range changed.State.Records {
			b.mark = r.Marks[0]
		}
	}
}

func (b *follower) follow(table *bucket.Table, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
			b.look(table)
		}
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
