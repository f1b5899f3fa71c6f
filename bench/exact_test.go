// exact_test.go checks the checkers: that benchmarks ask what they say, and
// that a limiter that admits too much would not pass.

package bench_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/bucketring/bucketring"
)

// TestClusterAdmitsExactly: callers at three nodes race for one key.
func TestClusterAdmitsExactly(t *testing.T) {
	const limit, callers, calls = 1000, 30, 3000
	members := newCluster(t, 3)
	books := newLedger(members[0], []string{"account:0"}, "1000/366d")
	err := concurrently(callers, calls, func(ctx context.Context, caller, calls int) error {
		l := load{way: way{limiter: members[caller%len(members)]}, books: books}
		for range calls {
			allowed, err := l.ask(ctx, "account:0")
			if err != nil {
				return err
			}
			if allowed {
				books.admitted.Add(1)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := books.admitted.Load(); got != limit {
		t.Errorf("%d of %d calls were admitted, want %d", got, calls, limit)
	}
	if over, err := books.over(); over > 0 || err != nil {
		t.Errorf("over() = %d, %v, want none", over, err)
	}
	forwarded := int64(0)
	for _, m := range members {
		forwarded += m.Stats().Forwarded
	}
	if forwarded < calls/2 {
		t.Errorf("%d calls were forwarded, want those of two nodes out of three", forwarded)
	}
}

// A liar answers as it likes: it says that remaining tokens are left.
type liar struct{ remaining int64 }

func (l liar) Take(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
	s := bucketring.LimitState{Allowed: true, Limit: req.Limits[0].Capacity(), Remaining: l.remaining}
	return bucketring.Decision{Allowed: true, LimitState: s}, nil
}

// TestLedgerFindsLiars: one that charges too little, one that admits beyond the
// capacity, and one that charges for nothing.
func TestLedgerFindsLiars(t *testing.T) {
	tests := []struct {
		name                string
		remaining, admitted int64
		over                int64
		fails               bool
	}{
		{"honest", 7, 3, 0, false},
		{"charges too little", 8, 3, 1, false},
		{"admits beyond the capacity", 0, 15, 5, false},
		{"charges for nothing", 6, 3, 0, true},
	}
	for _, tt := range tests {
		books := newLedger(liar{tt.remaining}, []string{"k"}, "10/366d")
		books.admitted.Add(tt.admitted)
		if over, err := books.over(); over != tt.over || (err != nil) != tt.fails {
			t.Errorf("%s: over() = %d, %v, want %d, error %v", tt.name, over, err, tt.over, tt.fails)
		}
	}
}

func TestAskRefusesFallback(t *testing.T) {
	n := degraded{}
	books := newLedger(n, []string{"k"}, "10/s")
	if _, err := (&load{way: way{limiter: n}, books: books}).ask(t.Context(), "k"); err == nil {
		t.Error("ask of a degraded limiter succeeded, want an error")
	}
}

// degraded decides without an owner.
type degraded struct{}

func (degraded) Take(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{Allowed: true, Degraded: true, Source: bucketring.SourceFallbackShare}, nil
}

func TestConcurrentlyDividesCalls(t *testing.T) {
	for _, calls := range []int{0, 1, 7, 1000} {
		var done, callers atomic.Int64
		err := concurrently(8, calls, func(_ context.Context, _, calls int) error {
			callers.Add(1)
			done.Add(int64(calls))
			return nil
		})
		if err != nil || done.Load() != int64(calls) || callers.Load() != 8 {
			t.Errorf("%d callers did %d calls (%v), want 8 and %d", callers.Load(), done.Load(), err, calls)
		}
	}
}
