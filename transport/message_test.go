package transport_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// TestHoldingsForOlderPeers: they know Held alone.
func TestHoldingsForOlderPeers(t *testing.T) {
	got := transport.OneByOne(&peerpb.Holdings{Groups: []*peerpb.Holdings_Group{
		{Gen: 7, Lineage: 9, Gaps: []uint32{0, 3, 1}}, {Gen: 8, Lineage: 10, Gaps: []uint32{2}},
	}})
	held := func(part uint32, gen, lineage uint64) *peerpb.Msg {
		return &peerpb.Msg{Of: &peerpb.Msg_Held{Held: &peerpb.Held{Part: part, Gen: gen, Lineage: lineage}}}
	}
	want := []*peerpb.Msg{held(0, 7, 9), held(3, 7, 9), held(4, 7, 9), held(2, 8, 10)}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Errorf("Held (-want +got):\n%s", diff)
	}
}
