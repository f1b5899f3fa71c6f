// charges_test.go holds calls that a node has resolved from a policy, and calls by
// ids, against the same calls made where they are decided.

package transport_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// anyPolicyLimit draws a limit of any kind that a policy can have.
func anyPolicyLimit(t *rapid.T) *bucketring.Limit {
	l := &bucketring.Limit{
		Name: rapid.StringN(0, 20, 60).Draw(t, "name"), ID: rapid.Uint64Min(1).Draw(t, "id"),
		Kind:      rapid.SampledFrom([]bucketring.Kind{bucketring.KindRate, bucketring.KindConcurrency, bucketring.KindLevel}).Draw(t, "kind"),
		Precision: rapid.Uint8Max(bucketring.MaxPrecision).Draw(t, "precision"),
		Amount:    rapid.Int64Min(0).Draw(t, "amount"),
	}
	switch l.Kind {
	case bucketring.KindRate:
		l.Algorithm, l.Align = bucketring.FixedWindow, bucketring.AlignCalendar
		l.Per = rapid.SampledFrom([]time.Duration{time.Minute, bucketring.Month, bucketring.Year}).Draw(t, "per")
		l.Zone = rapid.SampledFrom([]string{"", "Europe/Berlin", "Asia/Kathmandu"}).Draw(t, "zone")
	case bucketring.KindConcurrency:
		l.TTL = time.Duration(rapid.Int64Min(int64(time.Second)).Draw(t, "ttl"))
		l.MaxAge = time.Duration(rapid.SampledFrom([]int64{0, int64(l.TTL), 1<<63 - 1}).Draw(t, "age"))
	}
	return l
}

func anyID(t *rapid.T) (id bucketring.ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id"))
	return id
}

func anyCharges(t *rapid.T, verb bucketring.Verb) []bucketring.Charge {
	charges := make([]bucketring.Charge, rapid.IntRange(1, 16).Draw(t, "charges"))
	for i := range charges {
		charges[i] = bucketring.Charge{
			Limit: anyPolicyLimit(t), Key: string(rapid.SliceOfN(rapid.Byte(), 0, bucketring.MaxKeyLen).Draw(t, "key")),
			Cost:   rapid.Int64Min(0).Draw(t, "cost"),
			Window: rapid.Int64().Draw(t, "window"), ID: anyID(t), Shadow: rapid.Bool().Draw(t, "shadow"),
		}
		if verb == bucketring.VerbAdd {
			charges[i].Cost = rapid.Int64().Draw(t, "added")
		}
	}
	return charges
}

func TestSameDecisionOfAPolicyThroughALink(t *testing.T) {
	w := newWorld(t)
	h := w.host("n2").start()
	var decision bucketring.Decision
	h.owner.decide = func(context.Context, bucketring.Request) (bucketring.Decision, error) { return decision, nil }
	p := w.pool(h)
	verbs := []bucketring.Verb{bucketring.VerbTake, bucketring.VerbPeek, bucketring.VerbRefund, bucketring.VerbReset,
		bucketring.VerbAdd, bucketring.VerbSet, bucketring.VerbUsage}
	rapid.Check(t, func(t *rapid.T) {
		req := bucketring.Request{Verb: rapid.SampledFrom(verbs).Draw(t, "verb")}
		req.Charges = anyCharges(t, req.Verb)
		req.Each, req.Partition = rapid.Bool().Draw(t, "each"), rapid.Uint32Max(1<<16-1).Draw(t, "partition")
		req.Version, req.CostNanos = rapid.Int64().Draw(t, "version"), rapid.Int32().Draw(t, "nanos")
		states := make([]bucketring.LimitState, len(req.Charges))
		for i, c := range req.Charges {
			states[i] = anyState(t, c.Limit)
		}
		decision = bucketring.Decision{Allowed: rapid.Bool().Draw(t, "all allowed"), LimitState: states[0]}
		if len(states) > 1 {
			decision.Limits = states
		}
		got, err := p.Peer(h.addr()).Take(context.Background(), req)
		if err != nil {
			t.Fatalf("Take(%+v): %v", req, err)
		}
		if diff := cmp.Diff(decision, got); diff != "" {
			t.Errorf("decision through the link (-local +remote):\n%s", diff)
		}
		if diff := cmp.Diff(req, h.owner.last, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("request through the link (-sent +received):\n%s", diff)
		}
	})
}

// TestFormOfACall: calls whose charges a caller could have asked for himself arrive
// as he would ask, with Key and Limits.
func TestFormOfACall(t *testing.T) {
	limit := bucketring.Limit{Name: "l", Amount: 10, Per: time.Minute}
	other, ours := limit, limit
	other.Per, ours.ID = time.Hour, 1
	two := func(change func(*bucketring.Charge)) []bucketring.Charge {
		charges := []bucketring.Charge{{Limit: &other, Key: "k", Cost: 1}, {Limit: &limit, Key: "k", Cost: 1}}
		change(&charges[1])
		return charges
	}
	same := two(func(*bucketring.Charge) {})
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		for _, tt := range []struct {
			name string
			req  bucketring.Request
			want bool // whether it arrives as charges
		}{
			{"limits", bucketring.Request{Key: "k", Limits: []bucketring.Limit{limit, other}, Cost: 1}, false},
			{"same", bucketring.Request{Charges: same}, false},
			{"same, to peek", bucketring.Request{Verb: bucketring.VerbPeek, Charges: same}, false},
			{"each", bucketring.Request{Charges: same, Each: true}, true},
			{"partition", bucketring.Request{Charges: same, Partition: 1}, true},
			{"add", bucketring.Request{Verb: bucketring.VerbAdd, Charges: same}, true},
			{"set", bucketring.Request{Verb: bucketring.VerbSet, Charges: same}, true},
			{"key", bucketring.Request{Charges: two(func(c *bucketring.Charge) { c.Key = "other" })}, true},
			{"cost", bucketring.Request{Charges: two(func(c *bucketring.Charge) { c.Cost = 2 })}, true},
			{"shadow", bucketring.Request{Charges: two(func(c *bucketring.Charge) { c.Shadow = true })}, true},
			{"window", bucketring.Request{Charges: two(func(c *bucketring.Charge) { c.Window = 1 })}, true},
			{"id of a lease", bucketring.Request{Charges: two(func(c *bucketring.Charge) { c.ID = bucketring.ID{15: 1} })}, true},
			{"id of the limit", bucketring.Request{Charges: two(func(c *bucketring.Charge) { c.Limit = &ours })}, true},
		} {
			if _, err := p.Peer(h.addr()).Take(t.Context(), tt.req); err != nil {
				t.Errorf("%s: %v", tt.name, err)
				continue
			}
			got := h.owner.last
			if (got.Charges != nil) != tt.want || (got.Limits == nil) != tt.want {
				t.Errorf("%s: arrived as %+v, want charges: %v", tt.name, got, tt.want)
			}
			if !tt.want && (got.Key != "k" || got.Cost != 1 || len(got.Limits) != 2) {
				t.Errorf("%s: arrived as %+v, want two limits of k", tt.name, got)
			}
		}
	})
}

func TestIDsThroughALink(t *testing.T) {
	w := newWorld(t)
	h := w.host("n2").start()
	var decision bucketring.Decision
	h.owner.decide = func(context.Context, bucketring.Request) (bucketring.Decision, error) { return decision, nil }
	p := w.pool(h)
	verbs := []bucketring.Verb{bucketring.VerbRenew, bucketring.VerbRelease, bucketring.VerbSettle}
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.Uint32Max(1<<16-1).Draw(t, "partition")
		req := bucketring.Request{
			Verb: rapid.SampledFrom(verbs).Draw(t, "verb"), Partition: part, Version: rapid.Int64().Draw(t, "version"),
			Cost: rapid.Int64().Draw(t, "cost"), CostNanos: rapid.Int32().Draw(t, "nanos"),
		}
		decision = bucketring.Decision{Limits: []bucketring.LimitState{}, Source: bucketring.SourceReplica}
		for i := range rapid.IntRange(1, 64).Draw(t, "ids") {
			raw := anyID(t)
			raw[0] = byte(i) // no two alike
			id := raw.Text(part)
			req.IDs = append(req.IDs, id)
			if !rapid.Bool().Draw(t, "reached") {
				continue
			}
			decision.Leases = append(decision.Leases, id)
			if req.Verb == bucketring.VerbSettle {
				decision.Reservation = decision.Leases[0]
				decision.Limits = append(decision.Limits, anyState(t, anyPolicyLimit(t)))
				decision.LimitState = decision.Limits[0]
			}
		}
		decision.Allowed = len(decision.Leases) == len(req.IDs)
		got, err := p.Peer(h.addr()).Take(context.Background(), req)
		if err != nil {
			t.Fatalf("Take(%+v): %v", req, err)
		}
		if diff := cmp.Diff(decision, got); diff != "" {
			t.Errorf("decision through the link (-local +remote):\n%s", diff)
		}
		if diff := cmp.Diff(req, h.owner.last); diff != "" {
			t.Errorf("request through the link (-sent +received):\n%s", diff)
		}
	})
}

// TestUnknownReservation: that nothing was reached is an answer, and no reason to
// think that the owner is away.
func TestUnknownReservation(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		h.owner.decide = func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{}, bucketring.ErrUnknownID
		}
		p := w.pool(h)
		req := bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{bucketring.ID{1}.Text(2)}}
		got, err := p.Peer(h.addr()).Take(t.Context(), req)
		if want := (bucketring.Decision{Limits: []bucketring.LimitState{}}); err != nil || !cmp.Equal(got, want) {
			t.Errorf("Take = %+v, %v, want %+v", got, err, want)
		}
		if _, err := take(p, h, "k"); !errors.Is(err, bucketring.ErrUnavailable) {
			t.Errorf("Take without an id = %v, want ErrUnavailable: it has no ids to miss", err)
		}
	})
}

// TestPolicyCallsRefusedAlone: what no frame can carry, or no node could decide,
// does not reach the link.
func TestPolicyCallsRefusedAlone(t *testing.T) {
	level := &bucketring.Limit{Name: "stored", ID: 1, Kind: bucketring.KindLevel, Amount: 1}
	ids := func(n int, part uint32) (ids []string) {
		for range n {
			ids = append(ids, bucketring.ID{1}.Text(part))
		}
		return ids
	}
	charges := func(n int, key string, l *bucketring.Limit) (charges []bucketring.Charge) {
		for range n {
			charges = append(charges, bucketring.Charge{Limit: l, Key: key})
		}
		return charges
	}
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		for _, tt := range []struct {
			req  bucketring.Request
			want string // empty if it passes
		}{
			{bucketring.Request{Verb: bucketring.VerbRenew}, "id is missing: name what to renew"},
			{bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{"x"}}, "an id has 24 characters"},
			{bucketring.Request{Verb: bucketring.VerbRelease, IDs: append(ids(2, 7), ids(1, 8)...)}, "ids 1 and 3 are of two partitions"},
			{bucketring.Request{Verb: bucketring.VerbRelease, IDs: ids(800, 7)}, ""},
			{bucketring.Request{Verb: bucketring.VerbRelease, IDs: ids(1000, 7)}, "name fewer ids"},
			{bucketring.Request{Verb: bucketring.VerbSettle, IDs: ids(64, 7)}, ""},
			{bucketring.Request{Charges: charges(64, "k", level)}, ""},
			{bucketring.Request{Charges: charges(65, "k", level)}, "65 limits in one call, at most 64 are allowed"},
			{bucketring.Request{Charges: charges(32, strings.Repeat("k", 512), level)}, "send a hash of its key"},
			{bucketring.Request{Charges: charges(1, "k", &bucketring.Limit{Zone: strings.Repeat("z", 256)})}, "the time zone of limit 1 is not text"},
			{bucketring.Request{Charges: charges(1, "k", &bucketring.Limit{Zone: "\xff"})}, "the time zone of limit 1 is not text"},
			{bucketring.Request{Charges: charges(1, "k", &bucketring.Limit{Name: "\xff"})}, "the name of limit 1 is not text"},
		} {
			before := h.owner.total()
			_, err := p.Peer(h.addr()).Take(t.Context(), tt.req)
			switch decided := h.owner.total() - before; {
			case tt.want == "" && (err != nil || decided != 1):
				t.Errorf("Take(%.200v) = %v, want a decision", tt.req, err)
			case tt.want != "" && (!errors.Is(err, bucketring.ErrInvalid) || !strings.Contains(err.Error(), tt.want) || decided != 0):
				t.Errorf("Take(%.200v) = %v and %d decisions, want ErrInvalid with %q and none", tt.req, err, decided, tt.want)
			}
		}
		if s := linkStats(t, p); s.Reconnects != 0 {
			t.Errorf("link broke %d times, want never", s.Reconnects)
		}
	})
}

// TestVerdictsOnOtherIDs: a verdict about other ids is no decision.
func TestVerdictsOnOtherIDs(t *testing.T) {
	a, b := bucketring.ID{1}, bucketring.ID{2}
	req := bucketring.Request{Verb: bucketring.VerbRenew, IDs: []string{a.Text(7), b.Text(7)}}
	for _, tt := range []struct {
		ids  [][]byte
		want bool
	}{
		{nil, true}, {[][]byte{a[:]}, true}, {[][]byte{b[:]}, true}, {[][]byte{a[:], b[:]}, true},
		{[][]byte{b[:], a[:]}, false}, {[][]byte{a[:], a[:]}, false}, {[][]byte{{3}}, false}, {[][]byte{{}}, false},
		{[][]byte{a[:], b[:], b[:]}, false}, {[][]byte{a[:15]}, false},
	} {
		d, ok := transport.FromVerdict(&peerpb.Verdict{Ids: tt.ids}, &req)
		if ok != tt.want || ok && len(d.Leases) != len(tt.ids) {
			t.Errorf("FromVerdict with ids %x = %v, %v, want %v", tt.ids, d.Leases, ok, tt.want)
		}
	}
}
