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
	res.Used, res.Remaining = next, max(amount-next, 0)
	if res.Remaining < amount {
		res.Next = wait()
	}
	return next, res
}

// windowAt returns the window of a wall clock, numbered as counters do, and its
// end. Calendars are for zones whose days begin at 00:00 and whose offsets are whole
// hours; for the others there are lists by hand.
func windowAt(l bucketring.Limit, wall int64) (number, ends int64) {
	if l.Align == bucketring.AlignEpoch {
		number = wall / int64(l.Per)
		return number, (number + 1) * int64(l.Per)
	}
	zone, err := l.Location()
	if err != nil {
		panic(err)
	}
	at := time.Unix(0, wall).In(zone)
	year, month, day := at.Date()
	from, to := at.Truncate(l.Per), at.Truncate(l.Per).Add(l.Per)
	date := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, zone) }
	switch l.Per {
	case 24 * time.Hour:
		from, to = date(year, month, day), date(year, month, day+1)
	case 7 * 24 * time.Hour:
		for date(year, month, day).Weekday() != time.Monday {
			day--
		}
		from, to = date(year, month, day), date(year, month, day+7)
	case bucketring.Month:
		from, to = date(year, month, 1), date(year, month+1, 1)
	case bucketring.Year:
		from, to = date(year, 1, 1), date(year+1, 1, 1)
	}
	return from.Unix(), to.UnixNano()
}

// exactWindow is the number of a window, its end, and how much of it is used.
type exactWindow struct{ number, ends, used int64 }

// current is the window at a reading. It never goes back.
func (s exactWindow) current(m *model, now bucket.Now) exactWindow {
	wall := now.Wall
	if m.form.Wide {
		wall = m.wall
	}
	if number, ends := windowAt(m.limit, wall); number > s.number || s.ends == 0 {
		return exactWindow{number, ends, 0}
	}
	return s
}

func (s exactWindow) do(m *model, verb bucketring.Verb, now bucket.Now, n int64) (state, bucket.Result) {
	c := s.current(m, now)
	ends := time.Duration(c.ends - now.Wall)
	used, res := m.count(verb, c.used, n, func() time.Duration { return ends })
	res.Reset, res.Window = ends, c.number+1
	if used == c.used {
		return s, res // opens no window
	}
	return exactWindow{c.number, c.ends, used}, res
}

func (s exactWindow) unused(m *model, now bucket.Now) bool { return s.current(m, now).used == 0 }

func (s exactWindow) adjusted(m, to *model, _ bucket.Now) state {
	if m.form.Wide { // it has seen its latest reading, which may be a later window
		s = s.current(m, bucket.Now{})
	}
	to.widen(s.used, 0)
	if to.form.Wide && s.ends > 0 {
		to.wall = s.ends - 1 // whatever is before the end is the same
	}
	return s
}

func (s exactWindow) String() string { return fmt.Sprintf("used %d of window %d", s.used, s.number) }

// exactFirst is a window that began with a charge: the number of its start, its
// end, and what was used in it. An end of 0 is no window.
type exactFirst struct{ number, ends, used int64 }

// firstAt returns the window that would begin at a reading, and the reading of
// the clock that counts.
func firstAt(l bucketring.Limit, now bucket.Now) (s exactFirst, clock int64) {
	unit, clock := int64(time.Millisecond), now.Mono
	if l.Per == bucketring.Month || l.Per == bucketring.Year {
		unit, clock = int64(time.Second), now.Wall
	}
	start := new(big.Int).Div(big.NewInt(clock+unit-1), big.NewInt(unit)).Int64()
	if s = (exactFirst{start + 1, start*unit + int64(l.Per), 0}); unit == int64(time.Second) {
		s.ends = monthLater(l, start)
	}
	return s, clock
}

// monthLater is the same day of the next month or year in UTC, or its last day.
func monthLater(l bucketring.Limit, start int64) int64 {
	from := time.Unix(start, 0).UTC()
	to := from.AddDate(1, 0, 0)
	if l.Per == bucketring.Month {
		to = from.AddDate(0, 1, 0)
	}
	for to.Day() != from.Day() && to.Day() < 4 { // AddDate has gone on to the 1st, 2nd or 3rd
		to = to.AddDate(0, 0, -1)
	}
	return to.UnixNano()
}

func (s exactFirst) do(m *model, verb bucketring.Verb, now bucket.Now, n int64) (state, bucket.Result) {
	open := s
	would, clock := firstAt(m.limit, now)
	if clock >= s.ends {
		open = would
	}
	ends := time.Duration(open.ends - clock)
	used, res := m.count(verb, open.used, n, func() time.Duration { return ends })
	res.Window = open.number
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
	return exactFirst{open.number, open.ends, used}, res
}

func (s exactFirst) unused(m *model, now bucket.Now) bool {
	_, clock := firstAt(m.limit, now)
	return clock >= s.ends
}

func (s exactFirst) adjusted(_, to *model, _ bucket.Now) state {
	to.widen(s.used, s.number)
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
	fits := func(n int64) time.Duration { // when n do
		for i, c := range s {
			if s[i+1:].used() <= m.limit.Amount-n {
				return until(c)
			}
		}
		panic("nothing is used and yet it does not fit")
	}
	next, res := m.count(verb, used, n, func() time.Duration { return 0 })
	if !res.Allowed && res.Retry != bucketring.Never {
		res.Retry = fits(n)
	}
	slot := whole(floor(quo(rat(m.wall), big.NewRat(int64(m.limit.Per), 60))))
	if next > used {
		s = slices.Clone(s)
		if last := len(s) - 1; last >= 0 && s[last].slot == slot {
			s[last].n += next - used
		} else {
			s = append(s, charge{slot, next - used})
		}
	}
	s = s.without(used - next)
	res.Window = slot + 1
	if res.Remaining < m.limit.Amount {
		res.Next = fits(res.Remaining + 1)
	}
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
