// steady_test.go changes nothing: it shows that the callers and the counting are
// right before they are believed about anything else.

package proctest_test

import (
	"testing"
	"time"
)

// Three nodes hold limits exactly while nothing happens, and end well.
func TestSteady(t *testing.T) {
	t.Parallel()
	repeat(t, func(t *testing.T, _ int) {
		c := startCluster(t, 3, patient()...)
		keys := names("steady", manyKeys)
		l := c.load(calm, loadKeys(), loadLimit)
		y := c.takeAll(rounds(15, keys, tenAnHour), nil)
		background := l.stop()
		expectExactly(t, "A2", "15 takes of 10 while nothing changes", y, keys, 10)
		for _, y := range []*tally{y, background} {
			y.expectAnswers(t, "A1")
			y.expectOwners(t, "A1")
		}
		took := c.stop(c.serving()...)
		show(t, figure{"F2", "SIGTERM of all to exit 0", "<= 10 s", took.Seconds(), "s", "slowest of three"})
	})
}

// The auditor finds one token too many, and knows what comes back with time.
func TestAudit(t *testing.T) {
	t.Parallel()
	begun := time.Now()
	passed := func(key, limit string, cost int64, at time.Duration) outcome {
		return outcome{take: take{key, limit, cost}, answer: answer{Allowed: true}, begun: begun.Add(at)}
	}
	y := &tally{all: []outcome{
		passed("exact", "10/h", 10, 0),
		passed("over", "10/h", 10, 0), passed("over", "10/h", 1, 5*time.Minute),
		passed("refilled", "10/h", 10, 0), passed("refilled", "10/h", 1, 6*time.Minute),
		passed("window", "10/month@UTC", 10, 0), passed("window", "10/month@UTC", 2, time.Hour),
	}}
	accounts := audit(y)
	for key, want := range map[string]int64{"exact": 0, "over": 1, "refilled": 0, "window": 2} {
		if got := accounts[key].over(); got != want {
			t.Errorf("over(%s) = %d, want %d", key, got, want)
		}
	}
	for limit, want := range map[string]int64{"10/h": 1, "100/h": 5, "1000/h": 50} {
		if got := audit(&tally{all: []outcome{passed("", limit, 1, 0)}})[""].crashBound(0); got != want {
			t.Errorf("crashBound of %s = %d, want %d", limit, got, want)
		}
	}
}
