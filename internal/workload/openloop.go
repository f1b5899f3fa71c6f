// openloop.go sends calls at moments that are fixed beforehand: a limiter that is slow
// does not slow down those who ask.

package workload

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Load is calls at a steady rate, an open loop: a call's latency counts from the moment
// at which it was due, whether its caller was free by then or still waited for the one
// before (G. Tene, "How NOT to Measure Latency"). All but Each and WarmUp are required.
type Load struct {
	Rate    float64       // calls a second
	Callers int           // that share them; each has one call under way at most
	WarmUp  time.Duration // calls before it count as admitted, and for nothing else
	For     time.Duration // after the warm-up
	Keys    *Keys
	// Call makes one call for one of the callers, from 0 on.
	Call func(ctx context.Context, caller int, key string) (Answer, error)
	// Each, if set, is told each second how it goes.
	Each func(Progress)
}

// An Answer is what a call brought.
type Answer struct{ Allowed, Degraded bool }

// Progress are the calls so far, without those of the warm-up.
type Progress struct {
	Passed        time.Duration // since the end of the warm-up, below 0 during it
	Calls, Failed int64
}

// A Report is what a load brought.
type Report struct {
	Began    time.Time     // first call
	Took     time.Duration // from the end of the warm-up to the last answer
	Calls    int64         // that were answered or failed
	Allowed  int64
	Denied   int64
	Degraded int64 // answered without the key's owner
	Failed   int64
	FirstErr error
	// Behind counts calls that were begun more than 1 ms late because their caller was
	// still busy: with many, there were too few callers for this rate and latency.
	Behind  int64
	Latency *hdrhistogram.Histogram // of answered calls, in nanoseconds up to a minute
	// Admitted counts the allowed calls of each key, the warm-up's too.
	Admitted map[string]int64
	Ended    time.Time // last answer
}

// NewLatency returns an empty histogram of three digits.
func NewLatency() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Minute), 3)
}

// Run sends the load and returns what it brought. It ends early with ctx, and its error
// is only about a Load that cannot be run.
func (l *Load) Run(ctx context.Context) (*Report, error) {
	if l.Rate <= 0 || l.Callers < 1 || l.For <= 0 || l.WarmUp < 0 {
		return nil, errors.New("workload: rate, callers and time must be above 0")
	}
	var calls, failed atomic.Int64
	began := time.Now().Add(10 * time.Millisecond) // until all callers are there
	shares := make([]*share, l.Callers)
	var all sync.WaitGroup
	for i := range shares {
		s := &share{load: l, caller: i, began: began, latency: NewLatency(), calls: &calls, failures: &failed}
		s.report.Admitted = map[string]int64{}
		shares[i] = s
		all.Go(func() { s.run(ctx) })
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	l.watch(done, began.Add(l.WarmUp), &calls, &failed)
	r := &Report{Began: began, Latency: NewLatency(), Admitted: map[string]int64{}}
	for _, s := range shares {
		r.add(s)
	}
	r.Took = max(r.Ended.Sub(began.Add(l.WarmUp)), 0)
	return r, nil
}

// watch tells each second how it goes, until done is closed.
func (l *Load) watch(done <-chan struct{}, warm time.Time, calls, failed *atomic.Int64) {
	each := time.NewTicker(time.Second)
	defer each.Stop()
	for {
		select {
		case <-done:
			return
		case <-each.C:
			if l.Each != nil {
				l.Each(Progress{time.Since(warm), calls.Load(), failed.Load()})
			}
		}
	}
}

// A share is one caller's part of a load.
type share struct {
	load            *Load
	caller          int
	began           time.Time
	latency         *hdrhistogram.Histogram
	report          Report
	calls, failures *atomic.Int64
}

func (s *share) run(ctx context.Context) {
	l := s.load
	keys := l.Keys.StreamOf(s.caller, l.Callers)
	warm, end := s.began.Add(l.WarmUp), s.began.Add(l.WarmUp+l.For)
	for i := s.caller; ctx.Err() == nil; i += l.Callers {
		due := s.began.Add(time.Duration(float64(i) / l.Rate * float64(time.Second)))
		if !due.Before(end) {
			return
		}
		behind := false
		if early := time.Until(due); early > 0 {
			time.Sleep(early)
			due = time.Now() // a timer that rings late is not the limiter's fault
		} else {
			behind = early < -time.Millisecond
		}
		key := keys.Next()
		a, err := l.Call(ctx, s.caller, key)
		if err == nil && a.Allowed {
			s.report.Admitted[key]++
		}
		if due.Before(warm) || err != nil && ctx.Err() != nil {
			continue
		}
		s.count(a, err, due, behind)
	}
}

func (s *share) count(a Answer, err error, due time.Time, behind bool) {
	r := &s.report
	r.Ended = time.Now()
	s.calls.Add(1)
	if r.Calls++; behind {
		r.Behind++
	}
	switch {
	case err != nil:
		s.failures.Add(1)
		if r.Failed++; r.FirstErr == nil {
			r.FirstErr = err
		}
		return
	case a.Allowed:
		r.Allowed++
	default:
		r.Denied++
	}
	if a.Degraded {
		r.Degraded++
	}
	_ = s.latency.RecordValue(min(int64(r.Ended.Sub(due)), int64(time.Minute))) // fails only beyond that
}

func (r *Report) add(s *share) {
	r.Calls, r.Allowed, r.Denied = r.Calls+s.report.Calls, r.Allowed+s.report.Allowed, r.Denied+s.report.Denied
	r.Degraded, r.Failed, r.Behind = r.Degraded+s.report.Degraded, r.Failed+s.report.Failed, r.Behind+s.report.Behind
	if r.FirstErr == nil {
		r.FirstErr = s.report.FirstErr
	}
	r.Latency.Merge(s.latency)
	for key, n := range s.report.Admitted {
		r.Admitted[key] += n
	}
	if s.report.Ended.After(r.Ended) {
		r.Ended = s.report.Ended
	}
}
