package transport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// TestHostileFirstFrame: who is not a peer of this ring gets nothing.
func TestHostileFirstFrame(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame *peerpb.Frame
		want  codes.Code
	}{
		{"no hello", &peerpb.Frame{Items: []*peerpb.Item{item(1, "k")}}, codes.PermissionDenied},
		{"empty node", &peerpb.Frame{Hello: &peerpb.Hello{RingCfg: 7, Wire: 1}}, codes.PermissionDenied},
		{"long node", &peerpb.Frame{Hello: &peerpb.Hello{Node: strings.Repeat("n", 256), RingCfg: 7, Wire: 1}}, codes.PermissionDenied},
		{"other ring", &peerpb.Frame{Hello: &peerpb.Hello{Node: "n1", RingCfg: 8, Wire: 1}}, codes.FailedPrecondition},
		{"old wire", &peerpb.Frame{Hello: &peerpb.Hello{Node: "n1", RingCfg: 7}}, codes.FailedPrecondition},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				h := w.host("n2").start()
				refusedWith(t, h, w.raw(h), tt.frame, tt.want)
				if h.server.Dialers() != 0 || h.owner.total() != 0 {
					t.Errorf("a stranger is remembered or was served")
				}
			})
		})
	}
}

func TestHostileFrame(t *testing.T) {
	for _, tt := range []struct {
		name  string
		frame *peerpb.Frame
		want  codes.Code
	}{
		{"def number", &peerpb.Frame{Defs: []*peerpb.Def{{No: 1 << 31}}}, codes.InvalidArgument},
		{"def name", &peerpb.Frame{Defs: []*peerpb.Def{{Limit: strings.Repeat("n", 256)}}}, codes.InvalidArgument},
		{"too many items", &peerpb.Frame{Items: make([]*peerpb.Item, transport.FrameItems+1)}, codes.InvalidArgument},
		{"too large", &peerpb.Frame{Items: []*peerpb.Item{item(1, strings.Repeat("k", transport.MaxFrame))}}, codes.ResourceExhausted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				h := w.host("n2").start()
				refusedWith(t, h, greeted(t, w, h), tt.frame, tt.want)
			})
		})
	}
}

// refusedWith wants the link ended and counted.
func refusedWith(t *testing.T, h *host, stream rawLink, f *peerpb.Frame, want codes.Code) {
	t.Helper()
	for i := range f.Items {
		if f.Items[i] == nil {
			f.Items[i] = item(uint64(i+1), "k")
		}
	}
	if err := stream.Send(f); err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != want {
		t.Errorf("Recv = %v, want %v", err, want)
	}
	if got := h.server.Stats().Strangers; got != 1 {
		t.Errorf("Strangers = %d, want 1", got)
	}
}

// TestHostileItem: a call that makes no sense is refused, its neighbours are not.
func TestHostileItem(t *testing.T) {
	charge := func(def uint32, key string, cost int64) *peerpb.Charge {
		return &peerpb.Charge{Def: def, Key: []byte(key), Cost: cost}
	}
	nine := make([]*peerpb.Charge, 9)
	for i := range nine {
		nine[i] = charge(1, "k", 1)
	}
	for _, tt := range []struct {
		item *peerpb.Item
		want string
	}{
		{&peerpb.Item{Verb: 99, Charges: nine[:1]}, "unknown verb 99"},
		{&peerpb.Item{Verb: 1 << 31, Charges: nine[:1]}, "unknown verb 255"},
		{&peerpb.Item{Charges: []*peerpb.Charge{charge(2, "k", 1)}}, "limit 2 is not defined on this link"},
		{&peerpb.Item{Charges: nine}, "too many limits in one call"},
		{&peerpb.Item{Charges: []*peerpb.Charge{charge(1, "k", 1), charge(3, "other", 1)}}, "charges of one call differ in key or cost"},
		{&peerpb.Item{Charges: []*peerpb.Charge{charge(1, "k", 1), charge(3, "k", 2)}}, "charges of one call differ in key or cost"},
		{&peerpb.Item{Charges: []*peerpb.Charge{charge(1, "k", -1)}}, "cost is -1"},
		{&peerpb.Item{Charges: []*peerpb.Charge{charge(4, "k", 1)}}, "unknown algorithm"},
		{&peerpb.Item{}, "key is missing"},
	} {
		inBubble(t, func(t *testing.T, w *world) {
			h := w.host("n2").start()
			stream := greeted(t, w, h)
			tt.item.Id = 1
			got := say(t, stream, &peerpb.Frame{
				Defs: []*peerpb.Def{
					{No: 3, Limit: "h", Amount: 10, PerNs: int64(time.Hour)},
					{No: 4, Limit: "x", Amount: 10, PerNs: int64(time.Hour), Algorithm: 1 << 31},
				},
				Items: []*peerpb.Item{tt.item, item(2, "neighbour")},
			}).GetVerdicts()
			if got[0].GetCode() != peerpb.Verdict_INVALID || !strings.Contains(got[0].GetDetail(), tt.want) {
				t.Errorf("verdict of %v = %v, want INVALID with %q", tt.item, got[0], tt.want)
			}
			if got[1].GetCode() != peerpb.Verdict_ALLOW || h.owner.total() != 1 {
				t.Errorf("neighbour of %v = %v, want ALLOW", tt.item, got[1])
			}
		})
	}
}

// TestRefusals covers how the owner's errors cross the link.
func TestRefusals(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		var fail error
		h.owner.decide = func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{}, fail
		}
		p := w.pool(h)
		for _, tt := range []struct {
			err, is error
			text    string
		}{
			{bucketring.Invalidf("cost is %d, it must be 0 or more", -3), bucketring.ErrInvalid, "transport: take from n2: cost is -3, it must be 0 or more"},
			{fmt.Errorf("%w: there is no namespace x", bucketring.ErrNoPolicy), bucketring.ErrInvalid, "there is no namespace x"},
			{bucketring.Invalidf("bad byte \xff here"), bucketring.ErrInvalid, "bad byte  here"},
			{&bucketring.NotOwner{Hint: "n3"}, bucketring.ErrUnavailable, "ask n3"},
			{&bucketring.NotOwner{}, bucketring.ErrUnavailable, "not the owner of this key"},
			{bucketring.ErrUnavailable, bucketring.ErrUnavailable, "peer could not decide"},
			{context.Canceled, bucketring.ErrUnavailable, "peer could not decide"},
			{errors.New("secret of the owner"), bucketring.ErrUnavailable, "peer could not decide"},
		} {
			fail = tt.err
			_, err := take(p, h, "k")
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "secret") {
				t.Errorf("Take whose owner says %q = %q, want %v with %q", tt.err, err, tt.is, tt.text)
			}
			var sent, got *bucketring.NotOwner
			if errors.As(tt.err, &sent) && (!errors.As(err, &got) || got.Hint != sent.Hint) {
				t.Errorf("Take whose owner says %q = %v, want the hint %q", tt.err, err, sent.Hint)
			}
		}
	})
}
