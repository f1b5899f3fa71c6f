// audit_test.go adds up what was admitted and compares it with the limits.

package proctest_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// An account is what callers know of one key.
type account struct {
	limit    bucketring.Limit
	admitted int64 // tokens
	asked    int64
	first    time.Time // when the first take began
	last     time.Time // when the last answer came
}

// audit adds up the answers of all tallies by key. An admission that no caller
// has heard of is not in it.
func audit(tallies ...*tally) map[string]*account {
	all := map[string]*account{}
	for _, y := range tallies {
		for i := range y.all {
			o := &y.all[i]
			a := all[o.Key]
			if a == nil {
				a = &account{limit: bucketring.MustParse(o.Limit)[0], first: o.begun}
				all[o.Key] = a
			}
			a.asked += o.Cost
			if o.begun.Before(a.first) {
				a.first = o.begun
			}
			if end := o.begun.Add(o.took); end.After(a.last) {
				a.last = end
			}
			if isAllowed(o) {
				a.admitted += o.Cost
			}
		}
	}
	return all
}

// over returns the tokens beyond what one perfect bucket would have given.
func (a *account) over() int64 { return max(a.admitted-a.allowed(), 0) }

// allowed is the capacity and what came back meanwhile.
func (a *account) allowed() int64 {
	if a.limit.Algorithm != bucketring.TokenBucket {
		return a.limit.Capacity()
	}
	refill := float64(a.limit.Amount) * a.last.Sub(a.first).Seconds() / a.limit.Per.Seconds()
	return a.limit.Capacity() + int64(refill)
}

// crashBound is what a crash may cost one key: one hit or 5 %, and what the
// holder admitted in its last 15 ms, if the key is asked at this rate.
func (a *account) crashBound(perSecond float64) int64 {
	return int64(max(1, math.Floor(0.05*float64(a.limit.Capacity())+0.015*perSecond)))
}

// expectBound fails if a key was given more than its limit and a bound. It shows
// the worst key.
func expectBound(t *testing.T, row, what, promised string, accounts map[string]*account, bound func(*account) int64) {
	t.Helper()
	var total, capacity, asked int64
	keys, broken, worstOver := 0, 0, int64(-1)
	var worst *account
	for _, a := range accounts {
		o := a.over()
		total += o
		capacity += a.limit.Capacity()
		asked += a.asked
		if o > 0 {
			keys++
		}
		if o > bound(a) {
			broken++
		}
		if o > worstOver {
			worst, worstOver = a, o
		}
	}
	if worst == nil {
		t.Fatalf("%s: no key was asked", what)
	}
	share := 100 * float64(worstOver) / float64(worst.limit.Capacity())
	show(t, figure{row, what, promised, share, "%", fmt.Sprintf(
		"worst key %d beyond its limit of %d; %d of %d keys; all together %s %%; %d tokens asked for",
		worstOver, worst.limit.Capacity(), keys, len(accounts), number(100*float64(total)/float64(capacity)), asked)})
	if broken > 0 {
		t.Errorf("BROKEN: %s %s: %d of %d keys are beyond their limit and %d", row, what, broken, len(accounts), bound(worst))
	}
}

// none is the bound of planned changes.
func none(*account) int64 { return 0 }

// expectExactly fails unless exactly want tokens of each key passed.
func expectExactly(t *testing.T, row, what string, y *tally, keys []string, want int64) {
	t.Helper()
	accounts := audit(y)
	wrong, most, least := 0, int64(0), int64(math.MaxInt64)
	for _, key := range keys {
		got := int64(0)
		if a := accounts[key]; a != nil {
			got = a.admitted
		}
		most, least = max(most, got), min(least, got)
		if got != want {
			wrong++
		}
	}
	hold(t, 0, figure{row, what, fmt.Sprintf("exactly %d of every key", want), float64(wrong), "keys wrong",
		fmt.Sprintf("%d keys, %d to %d passed", len(keys), least, most)})
}
