package node

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

func readings(mono time.Duration) bucket.Now {
	return bucket.Now{Mono: int64(monoStart + mono), Wall: 1_800_000_000e9 + int64(mono)}
}

// everyKind is a state with a counter of each kind, as a table makes it.
func everyKind(t *testing.T, now bucket.Now) *bucket.State {
	t.Helper()
	table := bucket.New(bucket.Config{Closed: true})
	table.Open(0, 7, 8, nil, now)
	rates := bucketring.MustParse("10/h, 7/d algorithm=fixed_window, 5/h algorithm=sliding_window, 9/m algorithm=fixed_window, 1000/month@UTC")
	rates[3].Align = bucketring.AlignFirstRequest
	for i, l := range rates {
		c := bucket.Counter{Key: "k", Limit: &l}
		if res := table.Take(c, now, int64(i+1)); !res.Allowed {
			t.Fatalf("take of %v = %+v", l, res)
		}
	}
	leases := &bucketring.Limit{Kind: bucketring.KindConcurrency, Amount: 3, TTL: time.Minute}
	level := &bucketring.Limit{Kind: bucketring.KindLevel, Amount: 100}
	twoDays := &bucketring.Limit{Amount: 50, Per: 48 * time.Hour, Algorithm: bucketring.FixedWindow}
	table.Apply(bucket.Op{N: 1, ID: bucketring.ID{1}}, bucket.Counter{Key: "k", Limit: leases}, now)
	table.Apply(bucket.Op{Verb: bucketring.VerbSet, N: 40, Version: 3}, bucket.Counter{Key: "k", Limit: level}, now)
	table.Apply(bucket.Op{N: 2, ID: bucketring.ID{2}}, bucket.Counter{Key: "k", Limit: twoDays}, now)
	for key, life := range map[string]time.Duration{"day": 24 * time.Hour, "minute": time.Minute} {
		register(table, 0, key, now, 5, life)
	}
	s := table.Export(0, now)
	if len(s.Records) != 10 || len(s.Reserved) != 1 {
		t.Fatalf("the state has %d counters and %d reservations, want 10 and 1", len(s.Records), len(s.Reserved))
	}
	return s
}

// register makes n the number of a register, for a while, and returns what it was.
func register(table *bucket.Table, part uint32, key string, now bucket.Now, n int64, life time.Duration) (was []int64) {
	s := &bucket.Stepping{Run: func(r *bucketring.Register, _ []int64) []int64 {
		was = r.Numbers
		r.Numbers, r.Until = []int64{n, -n}, r.Now+int64(life)
		return nil
	}}
	limit := &bucketring.Limit{ID: 7, Kind: bucketring.KindRegister}
	table.Apply(bucket.Op{Verb: bucketring.VerbStep, Step: s}, bucket.Counter{Partition: part, Key: key, Limit: limit}, now)
	return was
}

// TestStatesTravel: what is read on another node's clock is the same counters, at the
// moment when they were read.
func TestStatesTravel(t *testing.T) {
	sent, received := readings(time.Hour), readings(3*time.Minute)
	s := everyKind(t, sent)
	bytes, err := toState(s, sent).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	w, err := peerpb.StateOf(bytes)
	if err != nil {
		t.Fatal(err)
	}
	got := fromState(w, received)
	want := s.Relative(sent).Absolute(received)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a state after its way (-want +got):\n%s", diff)
	}
}

// TestMessagesTravel: every message of the protocol comes back as it was.
func TestMessagesTravel(t *testing.T) {
	now := readings(time.Hour)
	n2 := handover.Node{Name: "n2", Boot: 1 << 60}
	c := handover.Copy{Gen: 5, Lineage: 6, State: everyKind(t, now)}
	for _, msg := range []handover.Msg{
		handover.Take{Part: 4092}, handover.Given{Part: 1, How: handover.Grant, Copy: c},
		handover.Given{Part: 1, How: handover.Moved, Hint: handover.Ref{Node: n2, Gen: 1 << 61}}, handover.Given{Part: 1, How: handover.Nothing},
		handover.Ack{Part: 2, Gen: 3}, handover.Ack{Part: 2, Offer: 9, Stale: true, Lineage: 10},
		handover.Who{Part: 3, Token: 4, Copies: true}, handover.Iam{Part: 3, Token: 4, Role: handover.RoleHold, Gen: 5, Seen: 6, Known: 7,
			Fwd: handover.Ref{Node: n2, Gen: 8}, Has: true, Copies: []handover.Copy{c, {Gen: 1, Lineage: 2}}},
		handover.Held{Part: 5, Gen: 6, Lineage: 7}, handover.Nudge{Part: 8, Gen: 9},
		handover.Offer{Part: 1, ID: 2, Back: n2, Hops: 3, Copy: c}, handover.Bye{}, handover.Clear{},
	} {
		bytes, err := toWire(msg, now).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		w, err := peerpb.MsgOf(bytes)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := fromWire(w, now)
		if !ok {
			t.Errorf("%T is not read as a message of the protocol", msg)
		}
		if diff := cmp.Diff(msg, got); diff != "" {
			t.Errorf("%T after its way (-want +got):\n%s", msg, diff)
		}
	}
	if m, ok := fromWire(&peerpb.Msg{}, now); ok {
		t.Errorf("an empty message is read as %T", m)
	}
}
