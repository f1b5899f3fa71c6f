package bucket_test

import (
	"math"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

func levelOf(amount int64) bucketring.Limit {
	return bucketring.Limit{Name: "storage", Kind: bucketring.KindLevel, Amount: amount}
}

const (
	takes   = bucketring.VerbTake
	peeks   = bucketring.VerbPeek
	refunds = bucketring.VerbRefund
	adds    = bucketring.VerbAdd
	sets    = bucketring.VerbSet
	resets  = bucketring.VerbReset
)

// levelSteps are calls at one level, and what is in it after each.
var levelSteps = []struct {
	verb       bucketring.Verb
	n, version int64
	amount     int64
	denied     bool
	used       int64
	window     int64 // one for all between two sets
}{
	{peeks, 4, 0, 10, false, 4, 1},
	{adds, -3, 0, 10, false, 0, 1}, // not below 0
	{takes, 11, 0, 10, true, 0, 1},
	{takes, 4, 0, 10, false, 4, 1},
	{adds, 6, 0, 10, false, 10, 1},
	{adds, 1, 0, 10, true, 10, 1},
	{takes, 0, 0, 10, false, 10, 1},
	{adds, -3, 0, 10, false, 7, 1},
	{refunds, 2, 0, 10, false, 5, 1},
	{refunds, 99, 0, 10, false, 0, 1},
	{sets, 50, 3, 10, false, 50, 4}, // the truth of the application
	{takes, 1, 0, 10, true, 50, 4},
	{takes, 0, 0, 10, false, 50, 4},
	{sets, 1, 3, 10, false, 50, 4}, // not newer
	{sets, 1, 2, 10, false, 50, 4},
	{sets, 8, 0, 10, false, 8, 5}, // version 4
	{sets, 7, 4, 10, false, 8, 5},
	{sets, 7, 5, 10, false, 7, 6},
	{takes, 13, 0, 20, false, 20, 6}, // another amount keeps it
	{sets, 6, 5, 10, false, 20, 6},   // and its version
	{adds, -15, 0, 3, false, 5, 6},   // also above a lower amount
	{takes, 1, 0, 3, true, 5, 6},
	{takes, math.MaxInt64 - 5, 0, bucketring.Unlimited, false, math.MaxInt64, 6},
	{takes, 100, 0, bucketring.Unlimited, false, math.MaxInt64, 6},
	{adds, math.MinInt64, 0, bucketring.Unlimited, false, 0, 6},
	{sets, 9, math.MaxInt64, 10, false, 9, math.MinInt64},
	{sets, 4, 0, 10, false, 9, math.MinInt64}, // there is no version above
	{resets, 0, 0, 10, false, 0, math.MinInt64},
	{sets, 3, 6, 10, false, 0, math.MinInt64}, // a reset brings no old set back
}

// TestLevel tells what a level does, call by call.
func TestLevel(t *testing.T) {
	table := bucket.New(bucket.Config{})
	for i, s := range levelSteps {
		l := levelOf(s.amount)
		got := table.Apply(bucket.Op{Verb: s.verb, N: s.n, Version: s.version}, bucket.Counter{Key: "k", Limit: &l}, noon)
		want := bucket.Result{Allowed: !s.denied, Used: s.used, Remaining: max(s.amount-s.used, 0), Window: s.window}
		if s.denied {
			want.Retry = bucketring.Never
		}
		if got != want {
			t.Errorf("step %d, %v %d of %d = %+v, want %+v", i, s.verb, s.n, s.amount, got, want)
		}
	}
	if got := table.Sweep(after(1000*time.Hour), 1); got != 0 {
		t.Errorf("Sweep = %d, want 0: the version is remembered", got)
	}
}

// TestLevelRefundOfAWindow: what was taken before a set is not given back after it.
func TestLevelRefundOfAWindow(t *testing.T) {
	table, l := bucket.New(bucket.Config{}), levelOf(10)
	do := func(op bucket.Op) bucket.Result { return table.Apply(op, bucket.Counter{Key: "k", Limit: &l}, noon) }
	before := do(bucket.Op{Verb: takes, N: 3}).Window
	if got := do(bucket.Op{Verb: refunds, N: 1, Window: before}); got.Used != 2 {
		t.Errorf("refund of 1 of 3 = %+v, want 2 used", got)
	}
	do(bucket.Op{Verb: sets, N: 7})
	if got := do(bucket.Op{Verb: refunds, N: 2, Window: before}); got.Used != 7 {
		t.Errorf("refund of what was taken before a set of 7 = %+v, want 7 used", got)
	}
}

// TestLevelIsDroppedAtZero, unless a version was set.
func TestLevelIsDroppedAtZero(t *testing.T) {
	table, l := bucket.New(bucket.Config{}), levelOf(10)
	c := bucket.Counter{Key: "k", Limit: &l}
	table.Take(c, noon, 3)
	if table.Sweep(after(1000*time.Hour), 1) != 0 {
		t.Error("a level was dropped, want it kept for ever")
	}
	table.Do(bucketring.VerbRefund, c, noon, 3)
	if table.Sweep(noon, 1) != 1 {
		t.Error("a level of 0 was kept, want it dropped")
	}
}

// TestRatesHaveNoLevel: what only levels know changes nothing at a rate.
func TestRatesHaveNoLevel(t *testing.T) {
	for _, shape := range shapes() {
		table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
		table.Take(c, noon, 4)
		for verb := bucketring.VerbRenew; verb <= bucketring.VerbUsage; verb++ {
			if got := table.Do(verb, c, noon, 3); !got.Allowed || got.Used != 4 {
				t.Errorf("%v of %v = %+v, want it allowed with Used 4", verb, shape, got)
			}
		}
	}
}
