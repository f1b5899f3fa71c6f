package bucket_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// used looks at a counter.
func used(table *bucket.Table, c bucket.Counter, now bucket.Now) int64 {
	return table.Do(bucketring.VerbPeek, c, now, 0).Used
}

// settle settles whole tokens.
func settle(t *testing.T, table *bucket.Table, id int, cost int64, now bucket.Now) bucket.Settled {
	t.Helper()
	s, ok := table.Settle(0, idOf(id), cost, 0, now)
	if !ok || s.Err != nil {
		t.Errorf("Settle(%d) = %+v, %v, want it known", id, s, ok)
	}
	return s
}

// TestSettle: the first settlement replaces the reserve, up and down, also beyond
// the limit, and no other changes anything.
func TestSettle(t *testing.T) {
	for _, shape := range shapes() {
		for _, amount := range []int64{10, 1 << 60} { // in a word, and wide
			t.Run(fmt.Sprint(shapeName(shape), amount), func(t *testing.T) {
				shape.Amount = amount
				table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
				half := amount / 2
				table.Apply(take(half, 1), c, noon)
				table.Apply(take(3, 2), c, noon)
				table.Apply(take(0, 3), c, noon)
				s := settle(t, table, 1, 2, noon)
				if s.Repeated || !s.Result.Allowed || s.Result.Used != 5 || s.Result.Remaining != amount-5 || s.Limit != shape {
					t.Errorf("Settle for less = %+v, want Used 5 of %v", s, shape)
				}
				for range 2 {
					if s := settle(t, table, 1, 9, noon); !s.Repeated || s.Result.Used != 5 {
						t.Errorf("Settle again = %+v, want it repeated with Used 5", s)
					}
				}
				if s := settle(t, table, 2, 3, noon); s.Repeated || s.Result.Used != 5 {
					t.Errorf("Settle for the same = %+v, want Used 5", s)
				}
				s = settle(t, table, 3, amount+2, noon)
				if s.Result.Used != amount+7 || s.Result.Remaining != 0 {
					t.Errorf("Settle beyond the limit = %+v, want Used %d, Remaining 0", s, amount+7)
				}
				got := table.Take(c, noon, 1)
				if got.Allowed || got.Retry <= 0 || got.Retry == bucketring.Never || got.Next != got.Retry || got.Reset < got.Retry {
					t.Errorf("Take after = %+v, want a denial that ends", got)
				}
				if later := after(got.Retry); !table.Take(c, later, 1).Allowed {
					t.Errorf("Take after Retry %v is denied", got.Retry)
				}
			})
		}
	}
}

// TestReserveOfNothing: charging wholly afterwards needs room for one token, and
// opens no window.
func TestReserveOfNothing(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			peek := bucket.Op{Verb: bucketring.VerbPeek, ID: idOf(99)}
			if got := table.Apply(take(0, 1), c, noon); !got.Allowed || got.Used != 0 || table.Stats().Keys != 0 {
				t.Errorf("reserve of nothing = %+v, want it allowed and no counter", got)
			}
			settle(t, table, 1, 9, after(time.Second))
			if got := table.Apply(take(0, 2), c, after(time.Second)); !got.Allowed || got.Used != 9 {
				t.Errorf("reserve with 1 left = %+v, want it allowed", got)
			}
			settle(t, table, 2, 1, after(time.Second))
			want := table.Take(c, after(time.Second), 1)
			for _, op := range []bucket.Op{take(0, 3), peek} {
				if got := table.Apply(op, c, after(time.Second)); got != want || got.Allowed {
					t.Errorf("%v of nothing with 0 left = %+v, want %+v", op.Verb, got, want)
				}
			}
			if got := table.Take(c, after(time.Second), 0); !got.Allowed {
				t.Errorf("take of nothing = %+v, want it allowed", got)
			}
			if _, ok := table.Settle(0, idOf(3), 1, 0, after(time.Second)); ok {
				t.Error("Settle of a denied take = true, want false")
			}
			none := shape
			none.Amount = 0
			if got := table.Apply(take(0, 4), bucket.Counter{Key: "none", Limit: &none}, noon); got.Allowed || got.Retry != bucketring.Never {
				t.Errorf("reserve of nothing with an amount of 0 = %+v, want a denial for ever", got)
			}
		})
	}
}

// TestThousandTenths: 1,000 settlements of 0.1 are 100, whatever the precision.
func TestThousandTenths(t *testing.T) {
	for _, shape := range shapes() {
		for precision := uint8(1); precision <= bucketring.MaxPrecision; precision++ {
			shape.Precision = precision
			unit := int64(math.Pow10(int(precision)))
			shape.Amount = 100 * unit
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			for i := range 1000 {
				table.Apply(take(0, i), c, noon)
				if s, ok := table.Settle(0, idOf(i), 0, 1e8, noon); !ok || s.Err != nil {
					t.Fatalf("Settle = %+v, %v, want it known", s, ok)
				}
			}
			if got := used(table, c, noon); got != 100*unit {
				t.Errorf("%v with %d decimals: 1,000 times 0.1 are %d, want %d", shape, precision, got, 100*unit)
			}
			if got := table.Apply(take(0, 1000), c, noon); got.Allowed {
				t.Errorf("take after 100 of 100 = %+v, want a denial", got)
			}
		}
	}
}

// TestSettleInItsWindow: a settlement changes the window of its take only.
func TestSettleInItsWindow(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			table.Apply(take(4, 1), c, noon)
			table.Apply(take(4, 2), c, noon)
			later, want := after(61*time.Second), [2]int64{3, 3} // of the new window
			switch shape.Algorithm {
			case bucketring.SlidingWindow:
				want = [2]int64{11, 8} // noon's slot counts for 61 s, so one take is denied
				later = after(60500 * time.Millisecond)
			case bucketring.TokenBucket:
				want = [2]int64{4, 4} // full meanwhile: what was taken had come back by itself
			}
			table.Take(c, later, 2)
			table.Take(c, later, 1)
			if got := settle(t, table, 1, 5, later).Result.Used; got != want[0] {
				t.Errorf("Used after a settlement for 1 more = %d, want %d", got, want[0])
			}
			if got := settle(t, table, 2, 1, later).Result.Used; got != want[1] {
				t.Errorf("Used after a settlement for 3 less = %d, want %d", got, want[1])
			}
		})
	}
}

// TestFirstRequestReserves: calls that reserve nothing before a window is open are
// counted together, whichever is settled first.
func TestFirstRequestReserves(t *testing.T) {
	for _, per := range []time.Duration{time.Minute, bucketring.Month} {
		l := bucketring.Limit{Algorithm: bucketring.FixedWindow, Align: bucketring.AlignFirstRequest, Amount: 10, Per: per}
		table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
		for i := range 4 {
			table.Apply(take(0, i), c, after(time.Duration(i)*time.Second))
		}
		for i, id := range []int{1, 2, 0} {
			s := settle(t, table, id, 3, after(30*time.Second))
			ends := per + time.Second - 30*time.Second // from when the first of them was taken
			if per == bucketring.Month {
				ends = 31*day + time.Second - 30*time.Second // in January
			}
			if s.Result.Used != int64(i+1)*3 || s.Result.Reset != ends {
				t.Errorf("settlement %d = %+v, want Used %d, Reset %v", i, s.Result, (i+1)*3, ends)
			}
		}
	}
	l := counterOf(shapes()[2], "k")
	table := bucket.New(bucket.Config{})
	table.Apply(take(0, 1), l, noon)
	if s := settle(t, table, 1, 3, after(time.Minute)); s.Result.Used != 0 || table.Stats().Keys != 0 {
		t.Errorf("settlement after the window would have ended = %+v, want Used 0 and no counter", s.Result)
	}
}

// TestReservationsAreForgotten one Per after their window's end.
func TestReservationsAreForgotten(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			known := 2 * time.Minute // of a window that began with the take
			if shape.Algorithm == bucketring.FixedWindow && shape.Align != bucketring.AlignFirstRequest {
				known = 90 * time.Second // noon is in the middle of a window
			}
			for _, n := range []int64{0, 1} {
				table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
				table.Apply(take(n, 1), c, noon)
				table.Apply(take(n, 2), c, noon)
				table.Sweep(after(known-1), 1)
				if got := table.Stats(); got.Reservations != 2 {
					t.Errorf("Stats = %+v, want 2 reservations", got)
				}
				settle(t, table, 1, 1, after(known-1))
				if _, ok := table.Settle(0, idOf(1), 1, 0, after(known)); ok {
					t.Errorf("Settle of %d after %v = true, want it forgotten", n, known)
				}
				table.Sweep(after(known+5*time.Minute), 1)
				if got := table.Stats(); got.Reservations != 0 || got.Bytes != 0 {
					t.Errorf("Stats after a sweep = %+v, want nothing left", got)
				}
			}
		})
	}
	table := bucket.New(bucket.Config{})
	for _, part := range []uint32{0, 1, 65535} {
		if _, ok := table.Settle(part, idOf(1), 1, 0, noon); ok {
			t.Errorf("Settle of an unknown id in partition %d = true, want false", part)
		}
	}
}

// TestReservationsUnderCare: repeats, refunds, bad costs, other amounts.
func TestReservationsUnderCare(t *testing.T) {
	for _, shape := range shapes() {
		t.Run(shapeName(shape), func(t *testing.T) {
			table, c := bucket.New(bucket.Config{}), counterOf(shape, "k")
			refund := func(id int) int64 {
				return table.Apply(bucket.Op{Verb: bucketring.VerbRefund, ID: idOf(id), N: 99}, c, noon).Used
			}
			table.Apply(take(2, 1), c, noon)
			if got := table.Apply(take(2, 1), c, noon); !got.Allowed || got.Used != 2 {
				t.Errorf("the same take again = %+v, want Used 2", got)
			}
			table.Apply(take(3, 2), c, noon)
			if got := refund(1); got != 3 {
				t.Errorf("Used after a refund of 2 of 5 = %d, want 3", got)
			}
			if got := refund(1); got != 3 {
				t.Errorf("Used after the refund again = %d, want 3", got)
			}
			if _, ok := table.Settle(0, idOf(1), 1, 0, noon); ok {
				t.Error("Settle after a refund = true, want false")
			}
			for _, cost := range []int64{-1, math.MaxInt64} {
				precise := shape
				precise.Precision = 6
				table.Apply(take(1, 3), bucket.Counter{Key: "p", Limit: &precise}, noon)
				if s, ok := table.Settle(0, idOf(3), cost, 0, noon); !ok || !errors.Is(s.Err, bucketring.ErrInvalid) || s.Result.Used != 1 {
					t.Errorf("Settle for %d = %+v, %v, want ErrInvalid and nothing changed", cost, s, ok)
				}
			}
			more := shape
			more.Amount = 20
			if shape.Algorithm == bucketring.TokenBucket {
				more.Burst = 21
			}
			before := used(table, bucket.Counter{Key: "k", Limit: &more}, noon)
			table.Take(bucket.Counter{Key: "k", Limit: &more}, noon, 1)
			if s := settle(t, table, 2, 5, noon); s.Limit != more || s.Result.Used != before+3 {
				t.Errorf("Settle after another amount = %+v, want Used %d of %v", s, before+3, more)
			}
			if got := refund(2); got != 1 && shape.Algorithm != bucketring.TokenBucket {
				t.Errorf("Used after a refund of what was settled = %d, want 1", got)
			}
		})
	}
}

// TestReservationsAreBounded: in a full table a take is carried out and not kept.
func TestReservationsAreBounded(t *testing.T) {
	for name, cfg := range map[string]bucket.Config{"keys": {MaxKeys: 3}, "bytes": {MaxBytes: 1200}} {
		for _, shape := range shapes() {
			table, c := bucket.New(cfg), counterOf(shape, "k")
			for i := range 9 {
				if got := table.Apply(take(1, i), c, noon); !got.Allowed || got.Used != int64(i)+1 {
					t.Errorf("%s: take %d of %v = %+v, want it allowed", name, i, shape, got)
				}
			}
			got := table.Stats()
			if got.Reservations == 0 || got.Reservations+got.Overflowed != 9 || cfg.MaxBytes > 0 && got.Bytes > cfg.MaxBytes {
				t.Errorf("%s: Stats = %+v, want 9 reservations and overflows, within %+v", name, got, cfg)
			}
			later := after(10 * time.Minute) // when all can be forgotten, there is room
			table.Apply(take(1, 100), c, later)
			settle(t, table, 100, 2, later)
			if got := table.Stats(); got.Reservations != 1 {
				t.Errorf("%s: Stats later = %+v, want 1 reservation", name, got)
			}
		}
	}
	table := bucket.New(bucket.Config{MaxKeys: 1})
	table.Take(counterOf(shapes()[0], "known"), noon, 1)
	for i := range 2 { // charged at a counter that others share
		table.Apply(take(1, i), counterOf(shapes()[0], fmt.Sprint(i)), noon)
	}
	if got := table.Stats(); got.Reservations != 0 || got.Overflowed != 2 {
		t.Errorf("Stats = %+v, want no reservations and 2 overflowed", got)
	}
}
