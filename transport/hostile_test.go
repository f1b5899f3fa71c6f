package transport_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
		{"zone", &peerpb.Frame{Defs: []*peerpb.Def{{Zone: strings.Repeat("z", 256)}}}, codes.InvalidArgument},
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
	for _, tt := range []struct {
		item *peerpb.Item
		want string
	}{
		{&peerpb.Item{Verb: 99, Charges: charged(1, "k", 1)}, "unknown verb 99"},
		{&peerpb.Item{Verb: 11, Charges: charged(1, "k", 1)}, "unknown verb 11"},
		{&peerpb.Item{Verb: 1 << 31, Charges: charged(1, "k", 1)}, "unknown verb 255"},
		{&peerpb.Item{Charges: charged(2, "k", 1)}, "limit 2 is not defined on this link"},
		{&peerpb.Item{Charges: slices.Repeat(charged(1, "k", 1), 65)}, "too many limits in one call"},
		{&peerpb.Item{Charges: slices.Repeat(charged(1, "k", 1), 9)}, "9 limits in one call, at most 8 are allowed"},
		{&peerpb.Item{Charges: charged(1, "k", -1)}, "cost is -1"},
		{&peerpb.Item{Charges: charged(4, "k", 1)}, "unknown algorithm"},
		{&peerpb.Item{Charges: charged(5, "k", 1)}, `"kind" has the unknown kind 255`},
		{&peerpb.Item{Charges: charged(6, "k", 1)}, "has a precision of 255"},
		{&peerpb.Item{Charges: charged(7, "k", 1)}, `unknown time zone "../Mars"`},
		{&peerpb.Item{Charges: charged(8, "k", 1)}, "has a ttl of -1ns"},
		{&peerpb.Item{}, "key is missing"},
	} {
		refusedAlone(t, tt.item, tt.want)
	}
}

// TestHostilePolicyItem is the same for what only nodes send.
func TestHostilePolicyItem(t *testing.T) {
	withID := func(bytes int) []*peerpb.Charge {
		return []*peerpb.Charge{{Def: 1, Key: []byte("k"), Id: make([]byte, bytes)}}
	}
	id := [][]byte{make([]byte, 16)}
	for _, tt := range []struct {
		verb bucketring.Verb
		item *peerpb.Item
		want string
	}{
		{bucketring.VerbTake, &peerpb.Item{Each: true, Charges: append(charged(1, "k", 1), charged(3, "other", -1)...)}, "cost is -1"},
		{bucketring.VerbSet, &peerpb.Item{Charges: charged(1, "k", -1)}, "cost is -1"},
		{bucketring.VerbTake, &peerpb.Item{Charges: withID(15)}, "id has 15 bytes, it must have 16"},
		{bucketring.VerbTake, &peerpb.Item{Charges: withID(17)}, "id has 17 bytes, it must have 16"},
		{bucketring.VerbRenew, &peerpb.Item{Ids: [][]byte{id[0], {1}}}, "id has 1 bytes, it must have 16"},
		{bucketring.VerbRenew, &peerpb.Item{Ids: [][]byte{{}}}, "id has 0 bytes, it must have 16"},
		{bucketring.VerbRelease, &peerpb.Item{Ids: id, Charges: charged(2, "k", 1)}, "limit 2 is not defined on this link"},
		{bucketring.VerbSettle, &peerpb.Item{}, "id is missing"},
		{bucketring.VerbSettle, &peerpb.Item{Charges: charged(1, "k", 1)}, "id is missing"},
		{bucketring.VerbSettle, &peerpb.Item{Part: 1 << 16, Ids: id}, "partition 65536 is none of an id"},
		{bucketring.VerbAdd, &peerpb.Item{}, "limit is missing: a call to add has charges"},
		{bucketring.VerbUsage, &peerpb.Item{Ids: id}, "limit is missing: a call to usage has charges"},
	} {
		tt.item.Verb = uint32(tt.verb)
		refusedAlone(t, tt.item, tt.want)
	}
}

func charged(def uint32, key string, cost int64) []*peerpb.Charge {
	return []*peerpb.Charge{{Def: def, Key: []byte(key), Cost: cost}}
}

// refusedAlone wants item to be INVALID, and the one behind it to be decided.
func refusedAlone(t *testing.T, hostile *peerpb.Item, want string) {
	t.Helper()
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		stream := greeted(t, w, h)
		hostile.Id = 1
		got := say(t, stream, &peerpb.Frame{
			Defs: []*peerpb.Def{
				{No: 3, Limit: "h", Amount: 10, PerNs: int64(time.Hour)},
				{No: 4, Limit: "x", Amount: 10, PerNs: int64(time.Hour), Algorithm: 1 << 31},
				{No: 5, Limit: "kind", Id: 1, Kind: 1 << 8},
				{No: 6, Limit: "x", Id: 1, Kind: 2, Precision: 1<<8 + 1},
				{No: 7, Limit: "x", Id: 1, PerNs: int64(time.Hour), Algorithm: 1, Align: 2, Zone: "../Mars"},
				{No: 8, Limit: "x", Id: 1, Kind: 1, TtlNs: -1},
			},
			Items: []*peerpb.Item{hostile, item(2, "neighbour")},
		}).GetVerdicts()
		if got[0].GetCode() != peerpb.Verdict_INVALID || !strings.Contains(got[0].GetDetail(), want) {
			t.Errorf("verdict of %v = %v, want INVALID with %q", hostile, got[0], want)
		}
		if got[1].GetCode() != peerpb.Verdict_ALLOW || h.owner.total() != 1 {
			t.Errorf("neighbour of %v = %v, want ALLOW", hostile, got[1])
		}
	})
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
