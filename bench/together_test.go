// together_test.go measures calls that came together, in the process of the node.

package bench_test

import (
	"fmt"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
)

// BenchmarkTogether is batches of takes, each for the next key.
func BenchmarkTogether(b *testing.B) {
	const size = 100
	for _, of := range []struct {
		name   string
		keys   *workload.Keys
		limits string
	}{
		{"hot", workload.Hot(), roomForOne},
		{"zipf", workload.Zipf(million, popular, seed), roomForEach},
		{"uniform", workload.Uniform(million, seed), roomForEach},
	} {
		b.Run(fmt.Sprintf("path=owned/keys=%s/size=%d", of.name, size), func(b *testing.B) {
			n := alone(b)
			books := newLedger(n, of.keys.All(), of.limits)
			books.fill(b)
			var all [size]bucketring.Request
			reqs, ds, done := make([]*bucketring.Request, size), make([]bucketring.Decision, size), make([]bool, size)
			for i := range all {
				all[i] = bucketring.Request{Limits: books.limits, Cost: 1}
				reqs[i] = &all[i]
			}
			keys, admitted := of.keys.Stream(), int64(0)
			b.ReportAllocs()
			m := startMeter(nil)
			for b.Loop() {
				for i := range all {
					all[i].Key = keys.Next()
				}
				clear(ds)
				clear(done)
				n.TakeEachNow(reqs, ds, done)
				for i := range ds {
					if !done[i] {
						b.Fatalf("%s was not decided", all[i].Key)
					}
					if ds[i].Allowed {
						admitted++
					}
				}
			}
			m.report(b, b.N*size)
			books.admitted.Add(admitted)
			books.audit(b)
		})
	}
}
