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

// A speaker keeps what is sent to nodes that speak a version of the wire.
type speaker struct {
	Messages
	wire uint32
	sent *[]*peerpb.Msg
}

func (s speaker) Wire(string, uint64) uint32 { return s.wire }

func (s speaker) Send(_ string, _ uint64, m *peerpb.Msg) { *s.sent = append(*s.sent, m) }

// TestHoldingsForOlderNodes: they know Held alone, and are told the same.
func TestHoldingsForOlderNodes(t *testing.T) {
	to := handover.Node{Name: "n2", Boot: 1}
	want := []handover.Held{{Part: 0, Gen: 7, Lineage: 9}, {Part: 3, Gen: 7, Lineage: 9}, {Part: 2, Gen: 8, Lineage: 9}}
	for wire, messages := range map[uint32]int{1: 3, 2: 1} {
		var sent []*peerpb.Msg
		m := &mover{msgs: speaker{wire: wire, sent: &sent}, view: &ringView{members: map[handover.Node]ring.Member{to: {Name: "n2"}}}}
		for _, one := range want {
			m.holdings.add(to, one)
		}
		m.tellHoldings()
		m.tellHoldings() // there is nothing left
		var told []handover.Held
		for _, msg := range sent {
			if held := msg.GetHeld(); held != nil {
				told = append(told, fromHeld(held))
			}
			told = append(told, allHeld(msg.GetHoldings())...)
		}
		if diff := cmp.Diff(want, told); diff != "" || len(sent) != messages {
			t.Errorf("wire %d: %d messages, want %d; held (-want +told):\n%s", wire, len(sent), messages, diff)
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
