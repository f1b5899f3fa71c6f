package bucket_test

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestSettleOutgrowsTheWord: a count or debt that no word holds is kept exactly,
// and one that no int64 holds is cut.
func TestSettleOutgrowsTheWord(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			const huge = 1 << 50
			for i := range 3 {
				table.Apply(take(0, i), c, noon)
			}
			want := int64(huge)
			if shape.Algorithm == bucketring.TokenBucket {
				want = 8 * 366 * 24 * 60 * 10 // what 8 years refill
			}
			if got := settle(t, table, 0, huge, noon).Result.Used; got != want {
				t.Errorf("Used = %d, want %d", got, want)
			}
			s := settle(t, table, 1, math.MaxInt64, noon)
			if shape.Algorithm != bucketring.TokenBucket {
				want = math.MaxInt64
			}
			if s.Result.Used != want || s.Result.Remaining != 0 || s.Result.Reset <= 0 {
				t.Errorf("Settle for all = %+v, want Used %d", s.Result, want)
			}
			if s := settle(t, table, 2, math.MaxInt64, noon); s.Result.Used != want {
				t.Errorf("Used = %d, want %d", s.Result.Used, want)
			}
			twice := counterOf(shape, "k")
			twice.Limit.Amount = 20
			if got := table.Take(twice, noon, 1); got.Allowed || got.Reset <= 0 {
				t.Errorf("Take under another amount = %+v, want a denial", got)
			}
			table.Do(bucketring.VerbReset, c, noon, 0)
			if got := table.Take(c, noon, 10); !got.Allowed || table.Stats().Keys != 1 {
				t.Errorf("Take after a reset = %+v, want it allowed", got)
			}
			table.Sweep(after(5*time.Minute), 1)
			if got := table.Stats(); got.Bytes != 0 || got.Keys != 0 {
				t.Errorf("Stats after all = %+v, want nothing left", got)
			}
		})
	}
}

// TestDebtIsPaidBack: a bucket in debt refills at its rate, in a word as in a wide
// state, also under another amount: what was owed is paid at the old rate.
func TestDebtIsPaidBack(t *testing.T) {
	for _, text := range []string{"10/m burst=20", "10/s", "12345678/d"} {
		l, err := parseLimit(text)
		if err != nil {
			t.Fatal(err)
		}
		table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
		capacity, one := l.Capacity(), l.Per/time.Duration(l.Amount)
		table.Apply(take(0, 1), c, noon)
		s := settle(t, table, 1, capacity+l.Amount, noon) // one Per of debt
		if s.Result.Used != capacity+l.Amount || (s.Result.Next-l.Per-one).Abs() > time.Microsecond {
			t.Errorf("Settle of %v = %+v, want Next %v", l, s.Result, l.Per+one)
		}
		if got := table.Take(c, after(l.Per-time.Microsecond), 1); got.Allowed || got.Used != capacity+1 {
			t.Errorf("Take of %v just before the debt is paid = %+v, want a denial with Used %d", l, got, capacity+1)
		}
		table = bucket.New(bucket.Config{})
		table.Apply(take(0, 1), c, noon)
		settle(t, table, 1, capacity+l.Amount, noon)
		fast := l
		fast.Amount, fast.Burst = l.Amount*2, 0
		f := bucket.Counter{Key: "k", Limit: &fast}
		table.Do(bucketring.VerbRefund, f, after(l.Per/2), 0)
		if got := table.Take(f, after(l.Per), 1); got.Allowed {
			t.Errorf("Take of %v when the debt is paid = %+v, want a denial", l, got)
		}
		if got := table.Take(f, after(l.Per+one/2+time.Microsecond), 1); !got.Allowed || got.Remaining != 0 {
			t.Errorf("Take of %v and a token later = %+v, want it allowed with none left", l, got)
		}
	}
}

// TestSettleAtOnce: of many settlements of one reservation one wins, and takes that
// run beside them lose nothing.
func TestSettleAtOnce(t *testing.T) {
	for _, shape := range shapes() {
		shape.Amount = 1e6
		table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
		const ids, workers = 300, 4
		for i := range ids {
			table.Apply(take(1, i), c, noon)
		}
		var wg sync.WaitGroup
		var won atomic.Int64
		for range workers {
			wg.Go(func() {
				for i := range ids {
					if s, ok := table.Settle(0, idOf(i), 3, 0, noon); ok && !s.Repeated {
						won.Add(1)
					}
					table.Take(c, noon, 1)
				}
			})
		}
		wg.Wait()
		if got, want := used(table, c, noon), int64(ids*3+ids*workers); got != want || won.Load() != ids {
			t.Errorf("%v: Used = %d with %d settlements, want %d with %d", shape, got, won.Load(), want, ids)
		}
	}
}

// TestSettlementsEqualTheSum: whatever is reserved, settled, refunded or taken
// within one window, what is used is the sum.
func TestSettlementsEqualTheSum(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				shape.Amount = rapid.SampledFrom([]int64{20, 1e6, 1 << 40, 1 << 62}).Draw(t, "amount")
				table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
				charged, done, sum := map[int]int64{}, map[int]bool{}, int64(0)
				for range rapid.IntRange(1, 40).Draw(t, "calls") {
					id, n := rapid.IntRange(0, 5).Draw(t, "id"), rapid.Int64Range(0, 9).Draw(t, "n")
					_, known := charged[id]
					switch rapid.IntRange(0, 3).Draw(t, "verb") {
					case 0:
						if table.Apply(take(n, id), c, noon).Allowed && !known {
							charged[id], sum = n, sum+n
						}
					case 1:
						_, ok := table.Settle(0, idOf(id), n, 0, noon)
						if ok != known {
							t.Fatalf("Settle = %v, want %v", ok, known)
						}
						if known && !done[id] {
							sum, charged[id], done[id] = sum+n-charged[id], n, true
						}
					case 2:
						table.Apply(bucket.Op{Verb: bucketring.VerbRefund, ID: idOf(id)}, c, noon)
						sum -= charged[id]
						delete(charged, id)
						delete(done, id)
					case 3:
						if table.Take(c, noon, n).Allowed {
							sum += n
						}
					}
					if got := used(table, c, noon); got != sum {
						t.Fatalf("Used = %d, want %d", got, sum)
					}
				}
			})
		})
	}
}
