package workload_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
)

// TestLoadIsOpen: a limiter that stands still for half a second delays all calls that are
// due meanwhile, and each of them counts.
func TestLoadIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		began := time.Now()
		l := workload.Load{
			Rate: 1000, Callers: 4, For: 2 * time.Second, Keys: workload.Distinct(10, 0),
			Call: func(context.Context, int, string) (workload.Answer, error) {
				calls.Add(1)
				if since := time.Since(began); since > time.Second && since < 1500*time.Millisecond {
					time.Sleep(1500*time.Millisecond - since)
				}
				return workload.Answer{Allowed: true}, nil
			},
		}
		r, err := l.Run(t.Context())
		if err != nil || r.Calls != 2000 || calls.Load() != 2000 || r.Allowed != 2000 {
			t.Fatalf("Run() = %+v, %v, want 2000 calls allowed", r, err)
		}
		fast, slow := r.Latency.ValueAtQuantile(74), r.Latency.ValueAtQuantile(77) // a quarter was due while it stood still
		if fast > int64(time.Millisecond) || slow < int64(10*time.Millisecond) || r.Latency.Max() < int64(490*time.Millisecond) {
			t.Errorf("latencies %v, %v, at most %v: want a quarter slow, up to half a second", time.Duration(fast), time.Duration(slow), time.Duration(r.Latency.Max()))
		}
		if r.Behind < 450 {
			t.Errorf("Behind = %d, want about 500", r.Behind)
		}
	})
}

// TestLoadCounts: the warm-up counts as admitted only, and each outcome for itself.
func TestLoadCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, broken := 0, errors.New("broken")
		l := workload.Load{
			Rate: 100, Callers: 1, WarmUp: time.Second, For: 4 * time.Second, Keys: workload.Hot(),
			Call: func(context.Context, int, string) (workload.Answer, error) {
				switch n++; n % 4 {
				case 0:
					return workload.Answer{}, broken
				case 1:
					return workload.Answer{Degraded: true}, nil
				}
				return workload.Answer{Allowed: true}, nil
			},
		}
		r, err := l.Run(t.Context())
		if err != nil || r.Calls != 400 || r.Allowed != 200 || r.Denied != 100 || r.Degraded != 100 || r.Failed != 100 || !errors.Is(r.FirstErr, broken) {
			t.Errorf("Run() = %+v, %v, want 400 calls: 200 allowed, 100 denied, 100 failed", r, err)
		}
		if got := r.Admitted["account:0"]; got != 250 {
			t.Errorf("Admitted = %v, want 250 with the warm-up", r.Admitted)
		}
		if limits := bucketring.MustParse("200/h"); r.Over(limits) != 50 {
			t.Errorf("Over(200/h) = %d, want 50", r.Over(limits))
		}
	})
}

func TestLoadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		seconds := 0
		l := workload.Load{
			Rate: 10, Callers: 2, For: time.Hour, Keys: workload.Hot(), Each: func(workload.Progress) { seconds++ },
			Call: func(ctx context.Context, _ int, _ string) (workload.Answer, error) {
				<-ctx.Done()
				return workload.Answer{}, ctx.Err()
			},
		}
		if r, err := l.Run(ctx); err != nil || r.Calls != 0 || r.Failed != 0 {
			t.Errorf("Run() = %+v, %v, want no call counted", r, err)
		}
	})
}

func TestAllowed(t *testing.T) {
	for _, tt := range []struct {
		limits string
		within time.Duration
		want   int64
	}{
		{"10/s", 0, 10},
		{"10/s", 1500 * time.Millisecond, 25},
		{"10/m burst=50", time.Minute, 60},
		{"100/m, 10/s", time.Second, 20},
		{"10/m algorithm=fixed_window", time.Second, 20},
		{"10/m algorithm=sliding_window", 90 * time.Second, 20},
		{"9223372036854775807/s", time.Hour, 1<<63 - 1},
	} {
		if got := workload.Allowed(bucketring.MustParse(tt.limits), tt.within); got != tt.want {
			t.Errorf("Allowed(%s, %v) = %d, want %d", tt.limits, tt.within, got, tt.want)
		}
	}
}
