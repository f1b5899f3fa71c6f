package ring_test

import (
	"fmt"
	"testing"

	"github.com/bucketring/bucketring/ring"
)

// BenchmarkOwner is the whole way from a caller's key to its owner.
func BenchmarkOwner(b *testing.B) {
	r, placer := build(b, 1, "n1", members(5)), ring.Placer{Seed: 1}
	keys := make([]string, 1024) // small enough for the cache: the lookup counts, not the memory
	for i := range keys {
		keys[i] = fmt.Sprintf("account:%d", i)
	}
	b.ReportAllocs()
	found, i := 0, 0
	for b.Loop() {
		if _, ok := r.Owner(ring.Partition(placer.Key("api", keys[i%len(keys)]))); ok {
			found++
		}
		i++
	}
	if found != i {
		b.Fatalf("%d of %d keys have an owner, want all", found, i)
	}
}

// BenchmarkBuild is a change of one member, as gossip brings them: the Builder
// keeps what it had. The first ring, made afresh, is not counted.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{5, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			builder, all := ring.NewBuilder(ring.Placer{}, "n1"), members(n+1)
			if _, err := builder.Build(all[:n]); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			size := n
			for b.Loop() {
				size = 2*n + 1 - size // n and n+1 in turn
				if _, err := builder.Build(all[:size]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBuildFresh is the first ring of a node.
func BenchmarkBuildFresh(b *testing.B) {
	for _, n := range []int{5, 50} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				build(b, 0, "n1", members(n))
			}
		})
	}
}
