// model_window_test.go is the part of the exact reference that counts windows.

package bucket_test

import (
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// count is what windows share: used beside the amount. wait is how long a call
// that does not fit has to wait.
func (m *model) count(verb bucketring.Verb, used, n int64, wait func() time.Duration) (int64, bucket.Result) {
	res, amount, next := bucket.Result{Allowed: true}, m.limit.Amount, used
	switch verb {
	case bucketring.VerbTake, bucketring.VerbPeek:
		sum := new(big.Int).Add(big.NewInt(used), big.NewInt(n))
		switch {
		case n > amount:
			res = bucket.Result{Retry: bucketring.Never}
		case n > 0 && sum.Cmp(big.NewInt(amount)) > 0:
			res = bucket.Result{Retry: wait()}
		default:
			next = whole(sum)
		}
	case bucketring.VerbRefund:
		next = max(used-n, 0)
	case bucketring.VerbReset:
		next = 0
	}
	res.Remaining = max(amount-next, 0)
	return next, res
}

// exactEpoch is the number of a window and what was used in it.
type exactEpoch struct{ window, used int64 }

// current is the window at a reading. It never goes back.
func (s exactEpoch) current(m *model, now bucket.Now) exactEpoch {
	wall := now.Wall
	if m.form.Wide {
		wall = m.wall
	}
	if w := wall / int64(m.limit.Per); w > s.window {
		return exactEpoch{w, 0}
	}
	return s
}

func (s exactEpoch) do(m *model, verb bucketring.Verb, now bucket.Now, n int64) (state, bucket.Result) {
	c := s.current(m, now)
	ends := time.Duration((c.window+1)*int64(m.limit.Per) - now.Wall)
	used, res := m.count(verb, c.used, n, func() time.Duration { return ends })
	res.Reset = ends
	if used == c.used {
		return s, res // opens no window
	}
	return exactEpoch{c.window, used}, res
}

func (s exactEpoch) unused(m *model, now bucket.Now) bool { return s.current(m, now).used == 0 }

func (s exactEpoch) adjusted(m, to *model, _ bucket.Now) state {
	if m.form.Wide { // it has seen its latest reading, which may be a later window
		s = s.current(m, bucket.Now{})
	}
	to.widen(s.used, 0)
	if to.form.Wide {
		to.wall = s.window * int64(m.limit.Per)
	}
	return s
}

func (s exactEpoch) String() string { return fmt.Sprintf("used %d of window %d", s.used, s.window) }

// exactFirst is the end of a window that began with a charge, and what was used
// in it. An end of 0 is no window.
type exactFirst struct{ ends, used int64 }

func (s exactFirst) do(m *model, verb bucketring.Verb, now bucket.Now, n int64) (state, bucket.Result) {
	open := s
	if now.Mono >= s.ends {
		ms := new(big.Int).Div(big.NewInt(now.Mono+int64(time.Millisecond)-1), big.NewInt(int64(time.Millisecond)))
		open = exactFirst{whole(ms)*int64(time.Millisecond) + int64(m.limit.Per), 0}
	}
	ends := time.Duration(open.ends - now.Mono)
	used, res := m.count(verb, open.used, n, func() time.Duration { return ends })
	if verb == bucketring.VerbReset {
		return exactFirst{}, res
	}
	if used == open.used {
		if open == s {
			res.Reset = ends
		}
		return s, res
	}
	res.Reset = ends
	return exactFirst{open.ends, used}, res
}

func (s exactFirst) unused(_ *model, now bucket.Now) bool { return now.Mono >= s.ends }

func (s exactFirst) adjusted(m, to *model, _ bucket.Now) state {
	start := int64(0)
	if s.ends > 0 {
		start = (s.ends-int64(m.limit.Per))/int64(time.Millisecond) + 1
	}
	to.widen(s.used, start)
	return s
}

func (s exactFirst) String() string { return fmt.Sprintf("used %d until %d", s.used, s.ends) }

// exactSliding is every charge that counts, the oldest first.
type exactSliding []charge

// A charge is n units taken in a slot of the 60 of a Per.
type charge struct{ slot, n int64 }

// leaves is the end of the charge's slot plus Per.
func (c charge) leaves(m *model) *big.Rat {
	return mul(rat(c.slot+61), big.NewRat(int64(m.limit.Per), 60))
}

func (s exactSliding) counted(m *model) exactSliding {
	for i, c := range s {
		if c.leaves(m).Cmp(rat(m.wall)) > 0 {
			return s[i:]
		}
	}
	return nil
}

func (s exactSliding) used() int64 {
	sum := new(big.Int)
	for _, c := range s {
		sum.Add(sum, big.NewInt(c.n))
	}
	return whole(sum)
}

func (s exactSliding) do(m *model, verb bucketring.Verb, now bucket.Now, n int64) (state, bucket.Result) {
	s = s.counted(m)
	until := func(c charge) time.Duration { return time.Duration(whole(ceil(c.leaves(m))) - now.Wall) }
	used := s.used()
	next, res := m.count(verb, used, n, func() time.Duration {
		for i, c := range s {
			if s[i+1:].used() <= m.limit.Amount-n {
				return until(c)
			}
		}
		panic("nothing is used and yet it does not fit")
	})
	if next > used {
		slot := whole(floor(quo(rat(m.wall), big.NewRat(int64(m.limit.Per), 60))))
		s = slices.Clone(s)
		if last := len(s) - 1; last >= 0 && s[last].slot == slot {
			s[last].n += next - used
		} else {
			s = append(s, charge{slot, next - used})
		}
	}
	s = s.without(used - next)
	if len(s) > 0 {
		res.Reset = until(s[len(s)-1])
	}
	return s, res
}

// without gives n units back, the newest first.
func (s exactSliding) without(n int64) exactSliding {
	if n <= 0 {
		return s
	}
	s = slices.Clone(s)
	for n > 0 {
		last := &s[len(s)-1]
		d := min(n, last.n)
		if last.n, n = last.n-d, n-d; last.n == 0 {
			s = s[:len(s)-1]
		}
	}
	return s
}

func (s exactSliding) unused(m *model, _ bucket.Now) bool { return len(s.counted(m)) == 0 }

func (s exactSliding) adjusted(m, to *model, _ bucket.Now) state {
	to.wall = m.wall
	return s
}

func (s exactSliding) String() string { return fmt.Sprint([]charge(s)) }
