// crowd_test.go has many wait for one limit, each by itself.

package client_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// A patient notes when one caller asks, and fails the test if that is too early.
type patient struct {
	*testing.T
	lim  bucketring.Limiter
	mu   sync.Mutex
	next time.Time   // when it may ask again; guarded by mu
	at   []time.Time // when it has asked; guarded by mu
}

func (p *patient) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Before(p.next) {
		p.Errorf("asked %v before the time that the denial told", p.next.Sub(now))
	}
	d, err := p.lim.Take(ctx, req)
	p.next, p.at = now.Add(d.RetryAfter), append(p.at, now)
	return d, err
}

// TestWaitInACrowd: those who wait do not all ask whenever a token comes, which would be 210
// and 18,300 times for the windows and 1,335 and 174,945 for the buckets; and the last one is
// admitted not much later than the limit allows.
func TestWaitInACrowd(t *testing.T) {
	for _, tt := range []struct {
		limit   string
		callers int
		most    int64
		by      time.Duration // when the limit could have admitted all
	}{
		{"10/s algorithm=fixed_window", 60, 200, 5 * time.Second},
		{"10/s algorithm=fixed_window", 600, 7_000, 59 * time.Second},
		{"10/s", 60, 600, 5 * time.Second},
		{"10/s", 600, 14_000, 59 * time.Second},
	} {
		t.Run(tt.limit, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, lim := time.Now(), newCounting()
				req := bucketring.Request{Key: "k", Limits: bucketring.MustParse(tt.limit), Cost: 1}
				var all sync.WaitGroup
				for range tt.callers {
					all.Go(func() {
						if d, err := client.Wait(t.Context(), &patient{T: t, lim: lim}, req); err != nil || !d.Allowed {
							t.Errorf("Wait = %+v, %v, want admitted", d, err)
						}
					})
				}
				all.Wait()
				took, asked := time.Since(began), lim.asked.Load()
				t.Logf("%d callers asked %d times, and were admitted within %v, where the limit takes %v", tt.callers, asked, took, tt.by)
				if asked > tt.most {
					t.Errorf("%d callers asked %d times, want at most %d", tt.callers, asked, tt.most)
				}
				if most := 2*tt.by + 10*time.Second; took > most {
					t.Errorf("the last was admitted after %v, want at most %v", took, most)
				}
			})
		})
	}
}

// TestWaitSpreadsAtAReset: those whom one short window has denied do not all ask when the
// next one begins.
func TestWaitSpreadsAtAReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim := newCounting()
		req := bucketring.Request{Key: "k", Limits: bucketring.MustParse("10/s algorithm=fixed_window"), Cost: 10}
		if _, err := client.Wait(t.Context(), lim, req); err != nil {
			t.Fatal(err)
		}
		req.Cost = 1
		var mu sync.Mutex
		moments := map[time.Time]bool{}
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() {
				if _, err := client.Wait(t.Context(), lim, req); err != nil {
					t.Errorf("Wait = %v, want admitted", err)
				}
				mu.Lock()
				defer mu.Unlock()
				moments[time.Now()] = true
			})
		}
		began := time.Now()
		all.Wait()
		if asked := lim.asked.Load(); asked != 21 || len(moments) < 9 {
			t.Errorf("10 calls came at %d moments after %d asks, want each at its own, and 21 asks", len(moments), asked)
		}
		if took := time.Since(began); took > 1125*time.Millisecond {
			t.Errorf("the last came after %v, want an eighth more than the second at most", took)
		}
	})
}

// TestWaitAsksBeforeItsDeadline: what is added by chance never takes the rest of the time.
func TestWaitAsksBeforeItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const retry = 1100 * time.Millisecond
		for _, queue := range []bool{false, true} {
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				p := &patient{T: t, lim: decider(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
					return bucketring.Decision{LimitState: bucketring.LimitState{RetryAfter: retry}}, nil
				})}
				var err error
				if queue {
					_, err = client.NewQueue(p, 0).Wait(ctx, call)
				} else {
					_, err = client.Wait(ctx, p, call)
				}
				cancel()
				if left := time.Since(p.at[len(p.at)-1]); err == nil || left > retry {
					t.Errorf("Wait = %v, asked last %v before its deadline, want again while there is %v", err, left, retry)
				}
			}
		}
	})
}
