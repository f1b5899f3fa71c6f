package node

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// TestHoldings packs what a node may hold, in any order, and reads the same.
func TestHoldings(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	to := handover.Node{Name: "n2", Boot: 1}
	for range 100 {
		var h holdings
		told := map[handover.Held]int{}
		for range r.IntN(3000) {
			one := handover.Held{Part: r.Uint32N(ring.Partitions), Gen: handover.Gen(r.Uint64N(3)), Lineage: r.Uint64N(2)}
			h.add(to, one)
			told[one]++
		}
		read := map[handover.Held]int{}
		if h[to] != nil {
			for _, one := range allHeld(&h[to].msg) {
				read[one]++
			}
		}
		if diff := cmp.Diff(told, read); diff != "" && len(told) > 0 {
			t.Fatalf("what is read (-told +read):\n%s", diff)
		}
	}
}

// TestHoldingsFromOutside: no message names a partition that there is not, or takes much.
func TestHoldingsFromOutside(t *testing.T) {
	many := make([]uint32, 100_000)
	for name, gaps := range map[string][]uint32{
		"beyond the last": {1, ring.Partitions}, "overflow": {1<<32 - 1, 1<<32 - 1, 2}, "the same again and again": many,
	} {
		all := allHeld(&peerpb.Holdings{Groups: []*peerpb.Holdings_Group{{Gen: 1, Gaps: gaps}}})
		if len(all) > ring.Partitions {
			t.Errorf("%s: %d partitions are read, want no more than there are", name, len(all))
		}
		for _, one := range all {
			if one.Part >= ring.Partitions {
				t.Errorf("%s: partition %d is read", name, one.Part)
			}
		}
	}
}
