package bucket_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestFullKeysAreCompared: counters whose hashes are equal stay apart, through
// growth, shrinking and removal. A hash is not a name.
func TestFullKeysAreCompared(t *testing.T) {
	const hash, count = 7, 100
	var part bucket.Part
	counter := func(i int) bucket.Counter {
		return counterOf(shapes()[i%len(shapes())], strings.Repeat("k", i/len(shapes())))
	}
	check := func(from int) {
		t.Helper()
		for i := range count {
			remaining, ok := part.Remaining(hash, counter(i), noon)
			if wantOK := i >= from; ok != wantOK || ok && remaining != int64(10-i%10) {
				t.Errorf("Remaining(%d) = %d, %v, want %d, %v", i, remaining, ok, 10-i%10, wantOK)
			}
		}
	}
	for i := range count {
		part.Insert(hash, counter(i), noon, int64(i%10))
	}
	check(0)
	for i := range count {
		part.Remove(hash, counter(i))
		check(i + 1)
		if got, most := part.Slots(), 4*(count-i-1); got > max(most, 4) {
			t.Errorf("a part of %d counters has %d slots, want at most %d", count-i-1, got, most)
		}
	}
}

// TestIdentity: what a counter is for.
func TestIdentity(t *testing.T) {
	base := bucketring.Limit{Name: "a", Algorithm: bucketring.FixedWindow, Amount: 10, Per: time.Minute}
	tests := []struct {
		name   string
		change func(*bucket.Counter, *bucketring.Limit)
		want   int64 // remaining of 10 after 4 were taken from the base and 1 from this
	}{
		{"the same", func(*bucket.Counter, *bucketring.Limit) {}, 5},
		{"name", func(_ *bucket.Counter, l *bucketring.Limit) { l.Name = "b" }, 5},
		{"accuracy", func(_ *bucket.Counter, l *bucketring.Limit) { l.Accuracy = bucketring.Strict }, 5},
		{"unavailable", func(_ *bucket.Counter, l *bucketring.Limit) { l.Unavailable = bucketring.UnavailableDeny }, 5},
		{"amount", func(_ *bucket.Counter, l *bucketring.Limit) { l.Amount = 20 }, 15},
		{"key", func(c *bucket.Counter, _ *bucketring.Limit) { c.Key = "K" }, 9},
		{"a longer key", func(c *bucket.Counter, _ *bucketring.Limit) { c.Key = "k\x00" }, 9},
		{"partition", func(c *bucket.Counter, _ *bucketring.Limit) { c.Partition = 1 }, 9},
		{"window", func(_ *bucket.Counter, l *bucketring.Limit) { l.Per = time.Hour }, 9},
		{"algorithm", func(_ *bucket.Counter, l *bucketring.Limit) { l.Algorithm = bucketring.SlidingWindow }, 9},
		{"align", func(_ *bucket.Counter, l *bucketring.Limit) { l.Align = bucketring.AlignFirstRequest }, 9},
		{"calendar", func(_ *bucket.Counter, l *bucketring.Limit) { l.Align = bucketring.AlignCalendar }, 9},
		{"policy", func(_ *bucket.Counter, l *bucketring.Limit) { l.ID = 7 }, 9},
		{"precision", func(_ *bucket.Counter, l *bucketring.Limit) { l.Precision = 1 }, 9},
		{"kind", func(_ *bucket.Counter, l *bucketring.Limit) { *l = levelOf(10) }, 9},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table := bucket.New(bucket.Config{Partitions: 2})
			l := base
			table.Take(bucket.Counter{Key: "k", Limit: &l}, noon, 4)
			c := bucket.Counter{Key: "k", Limit: &l}
			tt.change(&c, &l)
			if got := table.Take(c, noon, 1); got.Remaining != tt.want {
				t.Errorf("Take of another counter = %+v, want Remaining %d", got, tt.want)
			}
		})
	}
}

// TestHashSpreadsLimits: callers choose windows as freely as keys, so the many
// limits of one key must not meet in one place. All these windows are multiples
// of 2^21 ns.
func TestHashSpreadsLimits(t *testing.T) {
	const places = 1 << 14
	table, taken, count := bucket.New(bucket.Config{}), map[uint64]bool{}, 0
	for per := 4096 * time.Second; per <= bucketring.MaxPer; per += 4096 * time.Second {
		l := bucketring.Limit{Amount: 1, Per: per}
		taken[table.HashOf(bucket.Counter{Key: "k", Limit: &l})%places] = true
		count++
	}
	// Random places would be 6100 different ones of the 7720.
	if got := len(taken); got < count/2 {
		t.Errorf("%d windows of one key have %d places, want at least %d", count, got, count/2)
	}
}

// TestLimitsOfOneKeyStayApart: those that differ in one thing only do not even
// begin at the same place, and do not share a counter when the table is full.
func TestLimitsOfOneKeyStayApart(t *testing.T) {
	base := bucketring.Limit{Algorithm: bucketring.FixedWindow, Align: bucketring.AlignCalendar, Amount: 10, Per: time.Minute}
	change := func(edit func(l *bucketring.Limit)) bucketring.Limit {
		l := base
		edit(&l)
		return l
	}
	limits := []bucketring.Limit{
		base,
		change(func(l *bucketring.Limit) { l.Per = time.Hour }),
		change(func(l *bucketring.Limit) { l.Per = bucketring.Month }),
		change(func(l *bucketring.Limit) { l.Per, l.Align = bucketring.Month, bucketring.AlignFirstRequest }),
		change(func(l *bucketring.Limit) { l.Per, l.Align = bucketring.Month-1, bucketring.AlignFirstRequest }),
		change(func(l *bucketring.Limit) { l.Zone = "Asia/Tokyo" }),
		change(func(l *bucketring.Limit) { l.Zone = "Asia/Seoul" }),
		change(func(l *bucketring.Limit) { l.ID = 1 }),
		change(func(l *bucketring.Limit) { l.ID = 1 << 63 }),
		change(func(l *bucketring.Limit) { l.Precision = 6 }),
		change(func(l *bucketring.Limit) { l.Align = bucketring.AlignEpoch }),
		change(func(l *bucketring.Limit) { l.Algorithm, l.Align = bucketring.SlidingWindow, 0 }),
		change(func(l *bucketring.Limit) { l.Algorithm, l.Align = bucketring.TokenBucket, 0 }),
	}
	table, hashes := bucket.New(bucket.Config{MaxKeys: 1}), map[uint64]bool{}
	table.Take(counterOf(shapes()[0], "known"), noon, 1)
	for _, l := range limits {
		if err := l.Validate(); err != nil {
			t.Fatal(err)
		}
		c := bucket.Counter{Key: "k", Limit: &l}
		hashes[table.HashOf(c)] = true
		if got := table.Take(c, noon, 1); got.Used != 1 {
			t.Errorf("Take of %+v = %+v, want Used 1", l, got)
		}
	}
	if len(hashes) != len(limits) {
		t.Errorf("%d limits of one key have %d hashes", len(limits), len(hashes))
	}
}

// TestNothingComesOfNothing: denials, looks, refunds and resets of a counter
// that is not there create none, and answer as if it were unused.
func TestNothingComesOfNothing(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			calls := []struct {
				verb bucketring.Verb
				n    int64
				want int64
			}{
				{bucketring.VerbTake, 0, 10},
				{bucketring.VerbTake, 11, 10},
				{bucketring.VerbTake, math.MaxInt64, 10},
				{bucketring.VerbPeek, 0, 10},
				{bucketring.VerbPeek, 3, 7},
				{bucketring.VerbPeek, 11, 10},
				{bucketring.VerbRefund, 5, 10},
				{bucketring.VerbReset, 0, 10},
			}
			for _, call := range calls {
				got := table.Do(call.verb, c, noon, call.n)
				if got.Remaining != call.want || got.Allowed == (got.Retry == bucketring.Never) {
					t.Errorf("%v %d = %+v, want Remaining %d", call.verb, call.n, got, call.want)
				}
			}
			if diff := cmp.Diff(bucket.Stats{}, table.Stats()); diff != "" {
				t.Errorf("Stats (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSpent: a counter that is new begins with Spent gone, also if the first
// call only looks: from then on it refills. It is for new ones only.
func TestSpent(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			tests := []struct {
				spent, n int64
				want     bucket.Result
			}{
				{4, 1, bucket.Result{Allowed: true, Remaining: 5}},
				{10, 0, bucket.Result{Allowed: true, Remaining: 0}},
				{math.MaxInt64, 1, bucket.Result{Allowed: false, Remaining: 0}},
			}
			for _, tt := range tests {
				table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
				c.Spent = tt.spent
				got := table.Take(c, noon, tt.n)
				if got.Allowed != tt.want.Allowed || got.Remaining != tt.want.Remaining || table.Stats().Keys != 1 {
					t.Errorf("Take(%d) with Spent %d = %+v and %d keys, want %v, %d and 1 key",
						tt.n, tt.spent, got, table.Stats().Keys, tt.want.Allowed, tt.want.Remaining)
				}
				c.Spent = 10
				if again := table.Do(bucketring.VerbPeek, c, noon, 0); again.Remaining != got.Remaining {
					t.Errorf("Remaining of a known counter with Spent = %d, want %d", again.Remaining, got.Remaining)
				}
			}
		})
	}
}

// TestLookingUnderAnotherAmountChangesNothing: only what charges adjusts.
func TestLookingUnderAnotherAmountChangesNothing(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table := bucket.New(bucket.Config{})
			table.Take(counterOf(shape, "k"), noon, 1)
			less := counterOf(shape, "k")
			less.Limit.Amount = 2
			less.Spent = 1 // for new counters only
			table.Do(bucketring.VerbPeek, less, noon, 1)
			table.Take(less, noon, 0)
			table.Take(less, noon, 3)
			if got := table.Stats().Adjusted; got != 0 {
				t.Errorf("Adjusted = %d, want 0", got)
			}
			if got := table.Do(bucketring.VerbPeek, counterOf(shape, "k"), noon, 0); got.Remaining != 9 {
				t.Errorf("Remaining = %d, want 9", got.Remaining)
			}
			table.Take(less, noon, 1)
			if got := table.Stats().Adjusted; got != 1 {
				t.Errorf("Adjusted after a charge = %d, want 1", got)
			}
		})
	}
}

// TestManyLimits: more limits than the table keeps compiled are no trouble.
func TestManyLimits(t *testing.T) {
	table := bucket.New(bucket.Config{})
	for i := range bucket.MaxRules + 10 {
		l := bucketring.Limit{Amount: int64(i) + 2, Per: time.Minute}
		c := bucket.Counter{Key: fmt.Sprint(i), Limit: &l}
		for want := l.Amount - 1; want > l.Amount-3; want-- {
			if got := table.Take(c, noon, 1); got.Remaining != want {
				t.Fatalf("Take(%v) = %+v, want Remaining %d", l, got, want)
			}
		}
	}
}

// TestKeyIsCopied: a counter keeps its key and not the message it came in.
func TestKeyIsCopied(t *testing.T) {
	message := []byte("GET /v1/take?key=alice")
	table, c := bucket.New(bucket.Config{}), counterOf(shapes()[0], "")
	c.Key = unsafeString(message)[len(message)-5:]
	table.Take(c, noon, 4)
	copy(message[len(message)-5:], "carol")
	if got := table.Take(counterOf(shapes()[0], "alice"), noon, 1); got.Remaining != 5 {
		t.Errorf("Take after the message was overwritten = %+v, want Remaining 5", got)
	}
}
