package transport_test

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// FuzzPeerFrame feeds a link with whatever a peer may send, each frame twice.
// It must not panic, must not grow, and must answer what it can.
func FuzzPeerFrame(f *testing.F) {
	for _, frame := range []*peerpb.Frame{
		{Ping: true, Sent: -1},
		{Hello: hello(), Sent: 1 << 62},
		{Defs: []*peerpb.Def{perMinuteDef(), {No: 1 << 14}, {No: 2, Algorithm: 300, PerNs: -1}}},
		{Defs: []*peerpb.Def{perMinuteDef()}, Items: []*peerpb.Item{item(1, "k"), item(1, "k"), item(1<<63, ""), {Verb: 9}}},
		{Defs: []*peerpb.Def{perMinuteDef(), {No: 2, Id: 7, Kind: 300, Precision: 300, Zone: "../Mars", TtlNs: -1, MaxNs: -1}},
			Items: []*peerpb.Item{{Id: 1, Each: true, Part: 1 << 31, Charges: []*peerpb.Charge{
				{Def: 1, Key: []byte("a"), Cost: -1, Id: make([]byte, 15)}, {Def: 1, Key: []byte("b"), Shadow: true, Window: -1, Id: make([]byte, 16)}, {Def: 2}}}}},
		{Items: []*peerpb.Item{{Id: 1, Verb: 4, Part: 1 << 31, Ids: [][]byte{make([]byte, 16)}}, {Id: 2, Verb: 6, Ids: [][]byte{{}, nil}, Cost: -1 << 63},
			{Id: 3, Verb: 5, Ids: [][]byte{make([]byte, 16), make([]byte, 16)}}, {Id: 4, Verb: 7, Version: -1}}},
		{Verdicts: []*peerpb.Verdict{{Ids: [][]byte{{}, make([]byte, 16)}, Limits: []*peerpb.LimitState{{Kind: 1 << 31, Precision: 1 << 31}}}}},
		{Verdicts: []*peerpb.Verdict{{Code: 9, Most: 1 << 31, Limits: []*peerpb.LimitState{{}, {Remaining: -1}}}}},
	} {
		bytes, err := proto.Marshal(frame)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(bytes)
	}
	f.Fuzz(func(t *testing.T, bytes []byte) {
		if len(bytes) > transport.MaxFrame {
			return // gRPC refuses it
		}
		frame := &peerpb.Frame{}
		if proto.Unmarshal(bytes, frame) != nil {
			return
		}
		s := transport.NewPeerServer(transport.PeerConfig{Node: "n2"}, &owner{})
		l := s.NewLink("n1", 1)
		for range 2 {
			checkAnswer(t, l, frame)
		}
		if got := s.Stats().Panics; got != 0 {
			t.Errorf("%d calls ended in a panic, want 0", got)
		}
		checkVerdicts(t, frame.GetVerdicts())
	})
}

func checkAnswer(t *testing.T, l *transport.LinkEnd, frame *peerpb.Frame) {
	reply, err := l.Answer(frame)
	count, names := l.Limits()
	if count > 4*transport.MaxDefs || names > count*transport.MaxName {
		t.Errorf("link keeps %d limits with %d bytes of names", count, names)
	}
	if err != nil {
		return
	}
	if len(reply.GetVerdicts()) != len(frame.GetItems()) {
		t.Fatalf("%d verdicts for %d items", len(reply.GetVerdicts()), len(frame.GetItems()))
	}
	for i, v := range reply.GetVerdicts() {
		if v.GetId() != frame.GetItems()[i].GetId() {
			t.Errorf("verdict %d has id %d, want %d", i, v.GetId(), frame.GetItems()[i].GetId())
		}
	}
	if _, err := proto.Marshal(reply); err != nil {
		t.Errorf("reply cannot be sent: %v", err)
	}
}

// checkVerdicts reads them as answers to calls with one limit, with two, with two
// of a policy, and with an id.
func checkVerdicts(t *testing.T, verdicts []*peerpb.Verdict) {
	for _, v := range verdicts {
		for _, text := range []string{"1/s", "1/s, 2/m"} {
			req := bucketring.Request{Key: "k", Limits: bucketring.MustParse(text)}
			d, ok := transport.FromVerdict(v, &req)
			if ok && len(d.All()) != len(req.Limits) {
				t.Errorf("FromVerdict(%v) has %d limits, want %d", v, len(d.All()), len(req.Limits))
			}
		}
		of := bucketring.Request{Charges: []bucketring.Charge{{Limit: &perMinute[0]}, {Limit: &perMinute[0]}}}
		if d, ok := transport.FromVerdict(v, &of); ok && len(d.Limits) != 2 {
			t.Errorf("FromVerdict(%v) has %d limits, want 2", v, len(d.Limits))
		}
		by := bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{bucketring.ID{}.Text(0)}}
		if d, ok := transport.FromVerdict(v, &by); ok && (len(d.Leases) > 1 || len(d.Leases) == 1 && d.Leases[0] != by.IDs[0]) {
			t.Errorf("FromVerdict(%v) has reached %v, want %v at most", v, d.Leases, by.IDs)
		}
	}
}
