// limiters_test.go brings all limiters into one form.

package rivals_test

import (
	"context"
	"sync"
	"testing"

	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"golang.org/x/time/rate"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
)

// A limiter takes one token of a key and says whether there was one.
type limiter interface{ take(key string) bool }

// period is how long all tokens of a limiter take to come back: so long that no
// counter becomes unused while a benchmark runs, which would let ours drop it.
const period = bucketring.MaxPer

// A rival makes limiters of burst tokens that come back within a period.
type rival struct {
	name    string
	keyed   bool
	limiter func(tb testing.TB, burst int64) limiter
}

// rivals are in the order of the tables that one wants to read.
func rivals() []rival {
	return []rival{
		{"bucketring", true, newOurs},
		{"bucketring_allow", true, newAllowing},
		{"bucketring_prepared", false, newPrepared},
		{"x_time_rate", false, newSingle},
		{"x_time_rate_sync_map", true, newSyncMap},
		{"x_time_rate_mutex_map", true, newMutexMap},
		{"go_limiter", true, newMemoryStore},
		{"throttled", true, newThrottled},
	}
}

// ours is a node of its own.
type ours struct {
	node   *node.Node
	limits []bucketring.Limit
}

func newOurs(tb testing.TB, burst int64) limiter { return startOurs(tb, burst) }

func startOurs(tb testing.TB, burst int64) *ours {
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = n.Run(ctx) }) // it never fails
	tb.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return &ours{n, []bucketring.Limit{{Name: "inline", Amount: burst, Per: period}}}
}

func (o *ours) take(key string) bool {
	d, err := o.node.Take(context.Background(), bucketring.Request{Key: key, Limits: o.limits, Cost: 1})
	return err == nil && d.Allowed
}

// allowing is ours, asked for no more than a yes or a no, as the rivals are.
type allowing struct{ *ours }

func newAllowing(tb testing.TB, burst int64) limiter { return allowing{startOurs(tb, burst)} }

func (a allowing) take(key string) bool {
	ok, err := a.node.Allow(context.Background(), key, a.limits, 1)
	return err == nil && ok
}

// prepared is ours for one key.
type prepared struct{ *node.Prepared }

func newPrepared(tb testing.TB, burst int64) limiter {
	o := startOurs(tb, burst)
	p, err := o.node.Prepare("one", o.limits)
	if err != nil {
		tb.Fatal(err)
	}
	return prepared{p}
}

func (p prepared) take(string) bool {
	ok, err := p.Allow(context.Background(), 1)
	return err == nil && ok
}

// perPeriod is x/time/rate for one key.
func perPeriod(burst int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(burst)/period.Seconds()), int(burst))
}

// single is x/time/rate as it is, for a program with one limit.
type single struct{ *rate.Limiter }

func newSingle(_ testing.TB, burst int64) limiter { return single{perPeriod(burst)} }

func (s single) take(string) bool { return s.Allow() }

// syncMap is x/time/rate in a sync.Map, as most write it for many keys.
type syncMap struct {
	limiters sync.Map
	burst    int64
}

func newSyncMap(_ testing.TB, burst int64) limiter { return &syncMap{burst: burst} }

func (m *syncMap) take(key string) bool {
	l, ok := m.limiters.Load(key)
	if !ok {
		l, _ = m.limiters.LoadOrStore(key, perPeriod(m.burst))
	}
	return l.(*rate.Limiter).Allow()
}

// mutexMap is x/time/rate in a map behind one mutex.
type mutexMap struct {
	mu       sync.Mutex
	limiters map[string]*rate.Limiter // guarded by mu
	burst    int64
}

func newMutexMap(_ testing.TB, burst int64) limiter {
	return &mutexMap{limiters: map[string]*rate.Limiter{}, burst: burst}
}

func (m *mutexMap) take(key string) bool {
	m.mu.Lock()
	l := m.limiters[key]
	if l == nil {
		l = perPeriod(m.burst)
		m.limiters[key] = l
	}
	m.mu.Unlock()
	return l.Allow()
}

// memoryStore is github.com/sethvargo/go-limiter in memory.
type memoryStore struct {
	store interface {
		Take(ctx context.Context, key string) (tokens, remaining, reset uint64, ok bool, err error)
	}
}

func newMemoryStore(tb testing.TB, burst int64) limiter {
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(burst), Interval: period})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = store.Close(context.Background()) })
	return memoryStore{store}
}

func (m memoryStore) take(key string) bool {
	_, _, _, ok, err := m.store.Take(context.Background(), key)
	return ok && err == nil
}

// gcra is github.com/throttled/throttled in memory, without a bound of keys.
type gcra struct {
	limiter *throttled.GCRARateLimiterCtx
}

func newThrottled(tb testing.TB, burst int64) limiter {
	store, err := memstore.NewCtx(0)
	if err != nil {
		tb.Fatal(err)
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate: throttled.PerDuration(int(burst), period), MaxBurst: int(burst) - 1,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return gcra{l}
}

func (g gcra) take(key string) bool {
	limited, _, err := g.limiter.RateLimitCtx(context.Background(), key, 1)
	return !limited && err == nil
}
