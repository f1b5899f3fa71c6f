package bucket_test

import (
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestRefundInAWindow: it gives back there or nowhere.
func TestRefundInAWindow(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			refund := func(n, window int64, now bucket.Now) int64 {
				return table.Apply(bucket.Op{Verb: bucketring.VerbRefund, N: n, Window: window}, c, now).Used
			}
			first := table.Take(c, noon, 4).Window
			if (first == 0) != (shape.Algorithm == bucketring.TokenBucket) {
				t.Fatalf("Window = %d, want one but for token buckets", first)
			}
			if got := refund(1, first, noon); got != 3 {
				t.Errorf("Used after a refund of 1 of 4 = %d, want 3", got)
			}
			if first == 0 {
				return
			}
			if got := refund(1, first+7, noon); got != 3 {
				t.Errorf("Used after a refund in another window = %d, want 3", got)
			}
			later := after(45 * time.Second) // another slot, another window of those that were begun at the half
			if shape.Align == bucketring.AlignFirstRequest {
				later = after(75 * time.Second)
			}
			second := table.Take(c, later, 5).Window
			if second == first {
				t.Fatalf("Window = %d twice, want another one", first)
			}
			want := int64(5)
			if shape.Algorithm == bucketring.SlidingWindow {
				want = 5 + 1 // 3 of the first are given back in its slot
				if got := refund(2, first, later); got != want {
					t.Errorf("Used after a refund in the first slot = %d, want %d", got, want)
				}
			} else if got := refund(2, first, later); got != want {
				t.Errorf("Used after a refund in the window before = %d, want %d", got, want)
			}
			if got := refund(2, second, later); got != want-2 {
				t.Errorf("Used after a refund in this window = %d, want %d", got, want-2)
			}
			if got := refund(99, second, later); got != want-5 {
				t.Errorf("Used after a refund of more than all = %d, want %d", got, want-5)
			}
		})
	}
}

// TestRefundOfATakeInItsWindow: taking a take back does not touch another window,
// and a slot gives back no more than it has.
func TestRefundOfATakeInItsWindow(t *testing.T) {
	for _, shape := range shapes() {
		table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
		table.Apply(take(4, 1), c, noon)
		table.Apply(take(4, 2), c, noon)
		table.Do(bucketring.VerbRefund, c, noon, 6)
		later := after(59 * time.Second) // of the sliding window, the same
		if shape.Algorithm != bucketring.SlidingWindow {
			later = after(61 * time.Second)
		}
		table.Take(c, later, 7)
		want := int64(7) // a bucket was full meanwhile
		if got := table.Apply(bucket.Op{Verb: bucketring.VerbRefund, ID: idOf(1)}, c, later).Used; got != want {
			t.Errorf("Used of %v after a refund = %d, want %d", shape, got, want)
		}
		table.Apply(take(1, 3), c, later)
		want++
		if got := settle(t, table, 2, 0, later).Result.Used; got != want {
			t.Errorf("Used of %v after a settlement for nothing = %d, want %d", shape, got, want)
		}
	}
}

// TestNext: what comes back first.
func TestNext(t *testing.T) {
	for _, shape := range shapes() {
		table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
		if got := table.Do(bucketring.VerbPeek, c, noon, 0).Next; got != 0 {
			t.Errorf("Next of an unused %v = %v, want 0", shape, got)
		}
		table.Take(c, noon, 3)
		got := table.Take(c, after(2*time.Second), 3).Next
		want := map[string]time.Duration{
			"token_bucket":   4 * time.Second,  // a token comes each 6 s
			"fixed_window":   28 * time.Second, // noon is the half of a minute
			"calendar":       28 * time.Second,
			"first_request":  58 * time.Second,
			"sliding_window": 59 * time.Second, // noon's slot is a second long
		}[shapeName(shape)]
		if got != want {
			t.Errorf("Next of %v = %v, want %v", shape, got, want)
		}
	}
}
