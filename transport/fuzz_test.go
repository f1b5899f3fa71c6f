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

// checkVerdicts reads them as answers to a call with one limit and with two.
func checkVerdicts(t *testing.T, verdicts []*peerpb.Verdict) {
	for _, v := range verdicts {
		for _, text := range []string{"1/s", "1/s, 2/m"} {
			req := bucketring.Request{Key: "k", Limits: bucketring.MustParse(text)}
			d, ok := transport.FromVerdict(v, &req)
			if ok && len(d.All()) != len(req.Limits) {
				t.Errorf("FromVerdict(%v) has %d limits, want %d", v, len(d.All()), len(req.Limits))
			}
		}
	}
}
