package transport_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

type rawLink = grpc.BidiStreamingClient[peerpb.Frame, peerpb.Frame]

func hello() *peerpb.Hello { return &peerpb.Hello{Node: "n1", Boot: 1, RingCfg: 7, Wire: 1} }

// perMinuteDef numbers perMinute 1.
func perMinuteDef() *peerpb.Def {
	return &peerpb.Def{No: 1, Limit: "inline", Amount: 10, PerNs: int64(time.Minute)}
}

func item(id uint64, key string) *peerpb.Item {
	return &peerpb.Item{Id: id, Charges: []*peerpb.Charge{{Def: 1, Key: []byte(key), Cost: 1}}}
}

// greeted opens a stream, greets and defines a limit.
func greeted(t *testing.T, w *world, h *host) rawLink {
	t.Helper()
	stream := w.raw(h)
	say(t, stream, &peerpb.Frame{Hello: hello()})
	say(t, stream, &peerpb.Frame{Defs: []*peerpb.Def{perMinuteDef()}})
	return stream
}

// say sends a frame and returns the answer.
func say(t *testing.T, stream rawLink, f *peerpb.Frame) *peerpb.Frame {
	t.Helper()
	if err := stream.Send(f); err != nil {
		t.Fatalf("Send: %v", err)
	}
	answer, err := stream.Recv()
	if err != nil {
		t.Fatalf("Recv: %v", err)
	}
	return answer
}

func TestGreeting(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		stream := w.raw(h)
		got := say(t, stream, &peerpb.Frame{Hello: hello()})
		want := &peerpb.Hello{Node: "n2", Boot: 1, RingCfg: 7, Wire: 3}
		if diff := cmp.Diff(want, got.GetHello(), protocmp.Transform()); diff != "" {
			t.Errorf("Hello (-want +got):\n%s", diff)
		}
		say(t, stream, &peerpb.Frame{Defs: []*peerpb.Def{perMinuteDef()}, Items: []*peerpb.Item{item(41, "k")}})
		again := say(t, w.raw(h), &peerpb.Frame{Hello: hello()})
		if last := again.GetHello().GetLastItem(); last != 41 {
			t.Errorf("LastItem of a second greeting = %d, want 41", last)
		}
	})
}

// TestDuplicateFrameOnce is reliability.md 2.4, item 31.
func TestDuplicateFrameOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		n := int64(10)
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			d := allow(req)
			n--
			d.Remaining = n // another answer each time
			return d, nil
		}
		stream := greeted(t, w, h)
		frame := &peerpb.Frame{Items: []*peerpb.Item{item(1, "a"), item(2, "b"), item(2, "b")}}
		first := say(t, stream, frame)
		second := say(t, stream, frame)
		other := greeted(t, w, h) // the same dialer on a new link
		third := say(t, other, frame)
		for i, again := range []*peerpb.Frame{second, third} {
			if diff := cmp.Diff(first.GetVerdicts(), again.GetVerdicts(), protocmp.Transform()); diff != "" {
				t.Errorf("verdicts of repetition %d (-want +got):\n%s", i+1, diff)
			}
		}
		if got := h.owner.total(); got != 2 {
			t.Errorf("%d calls decided, want 2", got)
		}
		if s := h.server.Stats(); s.Decided != 2 || s.Repeated != 7 {
			t.Errorf("Stats() = %+v, want 2 decided and 7 repeated", s)
		}
	})
}

func TestOldIDsAreUnknown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		stream := greeted(t, w, h)
		for id := uint64(1); id <= transport.Remembered+1; id++ {
			say(t, stream, &peerpb.Frame{Items: []*peerpb.Item{item(id, "k")}})
		}
		for id, want := range map[uint64]peerpb.Verdict_Code{
			0: peerpb.Verdict_UNKNOWN, 1: peerpb.Verdict_UNKNOWN, 2: peerpb.Verdict_ALLOW, transport.Remembered + 1: peerpb.Verdict_ALLOW,
		} {
			v := say(t, stream, &peerpb.Frame{Items: []*peerpb.Item{item(id, "k")}}).GetVerdicts()[0]
			if v.GetCode() != want || v.GetId() != id {
				t.Errorf("verdict of id %d again = %v %v, want %v", id, v.GetId(), v.GetCode(), want)
			}
		}
		if got := h.owner.total(); got != transport.Remembered+1 {
			t.Errorf("%d calls decided, want %d", got, transport.Remembered+1)
		}
	})
}

// TestAnotherBootIsAnotherDialer: a node that starts again counts from the
// beginning, and its calls are new.
func TestAnotherBootIsAnotherDialer(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		say(t, greeted(t, w, h), &peerpb.Frame{Items: []*peerpb.Item{item(1, "k")}})
		for _, other := range []*peerpb.Hello{{Node: "n1", Boot: 2, RingCfg: 7, Wire: 1}, {Node: "n3", Boot: 1, RingCfg: 7, Wire: 2}} {
			stream := w.raw(h)
			say(t, stream, &peerpb.Frame{Hello: other})
			say(t, stream, &peerpb.Frame{Defs: []*peerpb.Def{perMinuteDef()}, Items: []*peerpb.Item{item(1, "k")}})
		}
		if got := h.owner.total(); got != 3 {
			t.Errorf("%d calls decided, want 3", got)
		}
	})
}

// TestMemoryOfDialersIsBounded forgets the quiet first, never one that has spoken
// since.
func TestMemoryOfDialersIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.host("n2").server
		busy := s.NewLink("busy", 1)
		busy.Answer(&peerpb.Frame{Items: []*peerpb.Item{{Id: 9}}})
		for i := range uint64(transport.MaxDialers + 100) {
			time.Sleep(time.Millisecond)
			s.NewLink("stranger", i)
			time.Sleep(time.Millisecond)
			busy.Answer(&peerpb.Frame{Ping: true})
		}
		if got := s.Dialers(); got != transport.MaxDialers {
			t.Errorf("%d dialers remembered, want %d", got, transport.MaxDialers)
		}
		again, err := s.NewLink("busy", 1).Answer(&peerpb.Frame{Items: []*peerpb.Item{{Id: 9}}})
		if err != nil || s.Stats().Repeated != 1 {
			t.Errorf("Answer of a busy dialer's call again = %v, %v, want it remembered", again, err)
		}
		time.Sleep(transport.KeepMemory + time.Second)
		s.NewLink("new", 1)
		if got := s.Dialers(); got != 1 {
			t.Errorf("%d dialers remembered after a minute, want 1", got)
		}
	})
}

func TestLateItemsAreNotDecided(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		stream := greeted(t, w, h)
		begin := time.Now()
		for _, tt := range []struct {
			delay, budget time.Duration
			want          peerpb.Verdict_Code
		}{
			{0, time.Millisecond, peerpb.Verdict_ALLOW},
			{20 * time.Millisecond, 25 * time.Millisecond, peerpb.Verdict_ALLOW},
			{26 * time.Millisecond, 25 * time.Millisecond, peerpb.Verdict_UNAVAILABLE},
			{26 * time.Millisecond, 0, peerpb.Verdict_ALLOW}, // without a deadline
			{0, -1, peerpb.Verdict_UNAVAILABLE},
			{0, time.Millisecond, peerpb.Verdict_ALLOW},
		} {
			sent := time.Since(begin)
			time.Sleep(tt.delay) // the way takes that long
			it := item(uint64(time.Since(begin))+100, "k")
			it.BudgetNs = int64(tt.budget)
			v := say(t, stream, &peerpb.Frame{Sent: int64(sent), Items: []*peerpb.Item{it}}).GetVerdicts()[0]
			if v.GetCode() != tt.want {
				t.Errorf("verdict after %v with budget %v = %v, want %v", tt.delay, tt.budget, v.GetCode(), tt.want)
			}
			time.Sleep(time.Millisecond)
		}
		if s := h.server.Stats(); s.Late != 2 || h.owner.total() != 4 {
			t.Errorf("Stats() = %+v, %d decided, want 2 late and 4 decided", s, h.owner.total())
		}
	})
}

// TestDriftingClock: clocks drift, and a dialer's stands still while its machine
// sleeps. Calls must not be taken as late for ever.
func TestDriftingClock(t *testing.T) {
	for name, clock := range map[string]func(time.Duration) time.Duration{
		"slow by 500 ppm": func(now time.Duration) time.Duration { return now - now/2000 },
		"fast by 500 ppm": func(now time.Duration) time.Duration { return now + now/2000 },
		"stood still":     func(now time.Duration) time.Duration { return now - min(now, 3*time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				h := w.host("n2").start()
				stream := greeted(t, w, h)
				begin := time.Now()
				for id := uint64(1); time.Since(begin) < 10*time.Minute; id++ {
					time.Sleep(500 * time.Millisecond)
					it := item(id, "k")
					it.BudgetNs = int64(25 * time.Millisecond)
					v := say(t, stream, &peerpb.Frame{Sent: int64(clock(time.Since(begin))), Items: []*peerpb.Item{it}}).GetVerdicts()[0]
					if now := time.Since(begin); v.GetCode() != peerpb.Verdict_ALLOW && now > 20*time.Second {
						t.Fatalf("after %v: verdict %v, want ALLOW: nothing is late", now, v.GetCode())
					}
				}
			})
		})
	}
}

func TestPanicCostsOneCall(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			if req.Key == "boom" {
				panic("boom")
			}
			return allow(req), nil
		}
		stream := greeted(t, w, h)
		items := []*peerpb.Item{item(1, "a"), item(2, "boom"), item(3, "b")}
		var codes []peerpb.Verdict_Code
		for _, v := range say(t, stream, &peerpb.Frame{Items: items}).GetVerdicts() {
			codes = append(codes, v.GetCode())
		}
		want := []peerpb.Verdict_Code{peerpb.Verdict_ALLOW, peerpb.Verdict_UNAVAILABLE, peerpb.Verdict_ALLOW}
		if diff := cmp.Diff(want, codes); diff != "" {
			t.Errorf("verdicts (-want +got):\n%s", diff)
		}
		if s := h.server.Stats(); s.Panics != 1 || s.Decided != 2 {
			t.Errorf("Stats() = %+v, want 1 panic and 2 decided", s)
		}
	})
}
