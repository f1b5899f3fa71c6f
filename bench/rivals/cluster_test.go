// cluster_test.go measures what only a cluster has: keys that are elsewhere, lent,
// remembered as exhausted, or at rest.

package rivals_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/internal/workload"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// nodeClients connects to the public API of nodes: one client for all together, or one for
// each.
func nodeClients(tb testing.TB, doors []map[string]string, unary, together bool) (all []*client.Client) {
	tb.Helper()
	var addrs []string
	for _, door := range doors {
		addrs = append(addrs, door["grpc"])
	}
	dial := func(addrs ...string) {
		c, err := client.Dial(context.Background(), client.Config{Addrs: addrs, Unary: unary})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { _ = c.Close() })
		all = append(all, c)
	}
	if together {
		dial(addrs...)
		return all
	}
	for _, addr := range addrs {
		dial(addr)
	}
	return all
}

// An audited key is a limit and when calls of it passed.
type auditedKey struct {
	limits []bucketring.Limit
	mu     sync.Mutex
	passed []time.Duration // guarded by mu
}

// over replays what passed in a perfect bucket: how many calls it would have denied, and by
// how many tokens at one moment more were out than it has.
func (a *auditedKey) over() (calls int, excess float64) {
	limit := a.limits[0]
	rate, burst := float64(limit.Amount)/limit.Per.Seconds(), float64(limit.Capacity())
	slices.Sort(a.passed)
	strict, loose, last := burst, burst, time.Duration(0)
	for _, at := range a.passed {
		back := rate * (at - last).Seconds()
		strict, loose, last = min(strict+back, burst), min(loose+back, burst), at
		if loose--; loose < 0 {
			excess = max(excess, -loose)
		}
		if strict < 1 {
			calls++
			continue
		}
		strict--
	}
	return calls, excess
}

// BenchmarkLeased is three nodes and popular keys whose limits are twice their demand. Its
// time is that between two calls, given by the rate.
func BenchmarkLeased(b *testing.B) {
	for _, rate := range []float64{3000, 12_000} {
		b.Run(fmt.Sprintf("nodes=3/keys=zipf/rate=%.0f", rate), func(b *testing.B) { lentKeys(b, rate) })
	}
}

func lentKeys(b *testing.B, rate float64) {
	const warmUp = 3 * time.Second
	s, doors := startNodes(b, 3)
	clients := nodeClients(b, doors, false, false)
	keys := workload.Zipf(10_000, 1.1, seed)
	books := booksOf(keys, rate)
	var local, lent, calls, next atomic.Int64
	began := time.Now()
	load := workload.Load{
		Rate: rate, Callers: 128, WarmUp: warmUp, For: time.Duration(float64(b.N) / rate * float64(time.Second)), Keys: keys,
		Call: func(ctx context.Context, _ int, key string) (workload.Answer, error) {
			one := books[key]
			d, err := clients[int(next.Add(1))%len(clients)].Take(ctx, bucketring.Request{Key: key, Limits: one.limits, Cost: 1})
			at := time.Since(began)
			if err != nil {
				return workload.Answer{}, err
			}
			if d.Allowed {
				one.mu.Lock()
				one.passed = append(one.passed, at)
				one.mu.Unlock()
			}
			if at > warmUp {
				calls.Add(1)
				if d.Source == bucketring.SourceLease {
					lent.Add(1)
				}
				if d.Source != bucketring.SourceOwner || d.Owner == d.Node {
					local.Add(1)
				}
			}
			return workload.Answer{Allowed: d.Allowed, Degraded: d.Degraded}, nil
		},
	}
	used := s.cpu(b)
	b.ResetTimer()
	r, err := load.Run(context.Background())
	b.StopTimer()
	if err != nil || r.Failed > 0 || r.Degraded > 0 {
		b.Fatalf("%d calls failed, %d were degraded: %v, %v", r.Failed, r.Degraded, err, r.FirstErr)
	}
	b.ReportMetric(float64(s.cpu(b)-used)/(float64(b.N)+rate*warmUp.Seconds()), "server-cpu-ns/decision")
	b.ReportMetric(100*float64(local.Load())/float64(calls.Load()), "local-%")
	b.ReportMetric(100*float64(lent.Load())/float64(calls.Load()), "lent-%")
	reportOver(b, books)
}

// booksOf gives each key a limit a minute of twice its demand.
func booksOf(keys *workload.Keys, rate float64) map[string]*auditedKey {
	drawn, total := map[string]int{}, 0
	for all := keys.Stream(); total < 4*len(keys.All()); total++ {
		drawn[all.Next()]++
	}
	books := map[string]*auditedKey{}
	for _, key := range keys.All() {
		demand := rate * float64(drawn[key]) / float64(total)
		books[key] = &auditedKey{limits: bucketring.MustParse(fmt.Sprintf("%d/m", max(int(2*60*demand), 1)))}
	}
	return books
}

// reportOver adds up what the books of all keys say.
func reportOver(b *testing.B, books map[string]*auditedKey) {
	over, passed, worst := 0, 0, 0.0
	for _, one := range books {
		calls, excess := one.over()
		over += calls
		passed += len(one.passed)
		if one.limits[0].Lendable() > 0 {
			worst = max(worst, excess/float64(one.limits[0].Capacity()))
		}
	}
	b.ReportMetric(100*float64(over)/float64(max(passed, 1)), "over-%")
	b.ReportMetric(100*worst, "burst-excess-%")
}

// BenchmarkExhausted is one key far above its limit: callers of all nodes are denied.
func BenchmarkExhausted(b *testing.B) {
	limits := bucketring.MustParse("100/s accuracy=strict")
	for _, load := range []struct {
		nodes           int
		unary, together bool
	}{{1, true, true}, {3, true, true}, {3, true, false}, {1, false, true}, {3, false, true}, {3, false, false}} {
		nodes := load.nodes
		b.Run(fmt.Sprintf("nodes=%d/keys=hot/callers=64/unary=%v/any=%v", nodes, load.unary, !load.together), func(b *testing.B) {
			s, doors := startNodes(b, nodes)
			clients := nodeClients(b, doors, load.unary, load.together)
			var denied, remembered atomic.Int64
			used := s.cpu(b)
			b.ResetTimer()
			err := concurrently(64, b.N, func(caller int) error {
				d, err := clients[caller%len(clients)].Take(context.Background(), bucketring.Request{Key: "hot", Limits: limits, Cost: 1})
				if !d.Allowed {
					denied.Add(1)
				}
				if d.Source == bucketring.SourceDeniedCache {
					remembered.Add(1)
				}
				return err
			})
			b.StopTimer()
			if err != nil {
				b.Fatal(err)
			}
			if most := int64(100 + 100*b.Elapsed().Seconds() + 1); int64(b.N)-denied.Load() > most {
				b.Fatalf("%d calls passed, want at most %d", int64(b.N)-denied.Load(), most)
			}
			b.ReportMetric(float64(s.cpu(b)-used)/float64(b.N), "server-cpu-ns/decision")
			b.ReportMetric(100*float64(remembered.Load())/float64(b.N), "remembered-%")
		})
	}
}

// concurrently makes n calls from several callers.
func concurrently(callers, n int, call func(caller int) error) error {
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for range n*(caller+1)/callers - n*caller/callers {
				if err := call(caller); err != nil {
					failed.Store(&err)
					return
				}
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// BenchmarkForwarded is one caller whose keys are all elsewhere: how long half of the calls
// take, beside calls that nobody forwards, bare echoes, and bare echoes through a second server.
func BenchmarkForwarded(b *testing.B) {
	for _, unary := range []bool{true, false} {
		for _, where := range []string{"owned", "forwarded"} {
			b.Run(fmt.Sprintf("nodes=3/path=%s/unary=%v", where, unary), func(b *testing.B) {
				_, doors := startNodes(b, 3)
				c := nodeClients(b, doors, unary, false)[0]
				keys := keysAt(b, c, where == "owned", 200)
				halfTake(b, func(i int) error {
					d, err := c.Take(context.Background(), bucketring.Request{Key: keys[i%len(keys)], Limits: perKey, Cost: 1})
					if err == nil && (!d.Allowed || d.Degraded) {
						err = fmt.Errorf("decision %+v, want the owner's", d)
					}
					return err
				})
			})
		}
	}
	b.Run("path=bare", func(b *testing.B) { bareCalls(b, dialBare(b, false)) })
	b.Run("path=bare_forwarded", func(b *testing.B) { bareCalls(b, dialBare(b, true)) })
	b.Run("path=bare_stream", func(b *testing.B) { bareMessages(b, dialBare(b, false)) })
	b.Run("path=bare_stream_forwarded", func(b *testing.B) { bareMessages(b, dialBare(b, true)) })
}

// bareRequest is as long as ours are.
var bareRequest = &limitpb.TakeRequest{Key: "key:100", Limit: "1000000000/1d"}

func bareCalls(b *testing.B, api limitpb.LimiterClient) {
	halfTake(b, func(int) error {
		_, err := api.Take(context.Background(), bareRequest)
		return err
	})
}

func bareMessages(b *testing.B, api limitpb.LimiterClient) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stream, err := api.TakeStream(ctx)
	if err != nil {
		b.Fatal(err)
	}
	one := &limitpb.StreamRequest{Id: 1, Request: bareRequest}
	halfTake(b, func(int) error {
		_, err := askBare(stream, one)
		return err
	})
}

// halfTake makes calls one after the other and reports the median and the 99th percentile.
func halfTake(b *testing.B, call func(i int) error) {
	took := make([]time.Duration, b.N)
	b.ResetTimer()
	for i := range took {
		began := time.Now()
		if err := call(i); err != nil {
			b.Fatal(err)
		}
		took[i] = time.Since(began)
	}
	b.StopTimer()
	slices.SortFunc(took, cmp.Compare[time.Duration])
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-us")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e3, "p99-us")
}

// keysAt finds keys that the asked node owns, or that it does not.
func keysAt(tb testing.TB, c *client.Client, owned bool, count int) (keys []string) {
	tb.Helper()
	for i := 0; len(keys) < count; i++ {
		key := fmt.Sprint("key:", i)
		d, err := c.Take(context.Background(), bucketring.Request{Key: key, Limits: perKey, Cost: 1})
		if err != nil || d.Degraded {
			tb.Fatalf("Take(%s) = %+v, %v", key, d, err)
		}
		if (d.Owner == d.Node) == owned {
			keys = append(keys, key)
		}
	}
	return keys
}

// BenchmarkIdle is what three nodes use that nobody asks: it takes ten seconds.
func BenchmarkIdle(b *testing.B) {
	b.Run("nodes=3", func(b *testing.B) {
		s, _ := startNodes(b, 3)
		time.Sleep(3 * time.Second) // they have just met
		used, began := s.cpu(b), time.Now()
		for b.Loop() {
			time.Sleep(10 * time.Second)
		}
		b.ReportMetric(100*float64(s.cpu(b)-used)/float64(time.Since(began))/3, "core-%/node")
	})
}
