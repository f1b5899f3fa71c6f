// load_test.go runs a workload against a Limiter.

package bench_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
)

const (
	million = 1_000_000 // keys of the large workloads
	popular = 1.1       // exponent of the Zipf workload
	seed    = 1         // of every workload
)

// Limits with room for any benchmark. They refill so slowly that a ledger can
// tell what was charged.
const (
	roomForOne  = "1000000000/366d burst=4000000000" // a single key: 32 a second come back
	roomForEach = "1000000/366d burst=4000000"       // each of many: one in 32 s comes back
)

// A load is calls on one way, each with the next key of the caller's stream.
type load struct {
	way
	books   *ledger
	callers int
	stream  func(caller int) *workload.Stream
}

// run is a whole benchmark.
func (l load) run(b *testing.B) {
	b.ReportAllocs()
	m := startMeter(l.links)
	if l.callers == 1 {
		l.serial(b)
	} else {
		l.concurrent(b)
	}
	m.report(b, b.N)
	l.books.audit(b)
}

// serial is one caller.
func (l load) serial(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	keys, admitted := l.stream(0), int64(0)
	for b.Loop() {
		allowed, err := l.ask(ctx, keys.Next())
		if err != nil {
			b.Fatal(err)
		}
		if allowed {
			admitted++
		}
	}
	l.books.admitted.Add(admitted)
}

// concurrent is several callers.
func (l load) concurrent(b *testing.B) {
	b.ResetTimer()
	err := concurrently(l.callers, b.N, func(ctx context.Context, caller, calls int) error {
		keys, admitted := l.stream(caller), int64(0)
		for range calls {
			allowed, err := l.ask(ctx, keys.Next())
			if err != nil {
				return err
			}
			if allowed {
				admitted++
			}
		}
		l.books.admitted.Add(admitted)
		return nil
	})
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}
}

// ask takes one token. An answer that was not the owner's is an error: it would
// mix two things into one figure.
func (l *load) ask(ctx context.Context, key string) (bool, error) {
	if l.allow != nil {
		return l.allow(ctx, key, l.books.limits)
	}
	d, err := l.limiter.Take(ctx, bucketring.Request{Key: key, Limits: l.books.limits, Cost: 1})
	if err == nil && d.Degraded {
		err = fmt.Errorf("%s was decided without its owner: %v", key, d.Source)
	}
	return d.Allowed, err
}

// concurrently divides calls among callers and waits until all are done. Each
// caller has a context of its own, as in a server.
func concurrently(callers, calls int, run func(ctx context.Context, caller, calls int) error) error {
	errs := make([]error, callers)
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			errs[caller] = run(ctx, caller, calls*(caller+1)/callers-calls*caller/callers)
		})
	}
	all.Wait()
	return errors.Join(errs...)
}
