package node

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

var perHour = bucketring.Limit{Amount: 10, Per: time.Hour, Algorithm: bucketring.FixedWindow}

func changed(gen, seq uint64, used map[string]int64) *bucket.State {
	s := &bucket.State{Gen: gen, Lineage: 1, Seq: seq}
	for key, n := range used {
		s.Records = append(s.Records, bucket.Record{
			Limit: &perHour, Key: key, Marks: []bucket.Mark{{Lineage: 1, Gen: gen, Seq: seq, At: 500_000, N: n}},
		})
	}
	return s
}

// usedIn returns what a copy knows, by key.
func usedIn(r *replica) map[string]int64 {
	used := map[string]int64{}
	for _, one := range r.state().Records {
		used[one.Key] = one.Marks[0].N
	}
	return used
}

// TestReplicaTakesTheLaterWord: changes overtake a whole copy that was read before them,
// and come after one that was read later.
func TestReplicaTakesTheLaterWord(t *testing.T) {
	r := newReplica(1)
	r.take(changed(1, 2, map[string]int64{"a": 5, "b": 1}), 1<<40)
	r.take(changed(1, 1, map[string]int64{"a": 4, "c": 1}), 1<<40) // late
	if got := usedIn(r); got["a"] != 5 || got["b"] != 1 || got["c"] != 1 {
		t.Errorf("after changes out of order the copy has %v, want a 5, b 1, c 1", got)
	}
	whole := changed(1, 3, map[string]int64{"c": 2})
	next := r.after(whole)
	next.take(whole, 1<<40)
	if got := usedIn(next); len(got) != 1 || got["c"] != 2 {
		t.Errorf("after a whole copy there is %v, want c 2 alone: the others are as if they had never been", got)
	}
	late := changed(1, 1, map[string]int64{"a": 4})
	next = r.after(late)
	next.take(late, 1<<40)
	if got := usedIn(next); got["a"] != 5 || got["b"] != 1 || got["c"] != 0 {
		t.Errorf("after a whole copy that was read before changes there is %v, want a 5 and b 1", got)
	}
}

var holderOfAll = handover.Node{Name: "n2", Boot: 2}

// listener returns a mover that holds nothing and hears of n2 and n3.
func listener(t testing.TB) *mover {
	var sent []*peerpb.Msg
	members := []ring.Member{{Name: "n1", Boot: 1}, {Name: holderOfAll.Name, Boot: holderOfAll.Boot}, {Name: "n3", Boot: 3}}
	r, err := ring.NewBuilder(ring.Placer{}, "n1").Build(members)
	if err != nil {
		t.Fatal(err)
	}
	m := newLocal(Config{Name: "n1", Messages: speaker{sent: &sent}, Logger: slog.New(slog.DiscardHandler)}, r).mover
	m.setRing(r)
	for _, do := range m.queue {
		do()
	}
	return m
}

// TestReplicaStateStays: what a copy has said of itself does not change with it, nor with the
// message that it was made of.
func TestReplicaStateStays(t *testing.T) {
	r := newReplica(1)
	first, second := changed(1, 1, map[string]int64{"a": 1}), changed(1, 2, map[string]int64{"a": 2})
	r.take(first, 1<<40)
	before := r.state()
	r.take(second, 1<<40)
	second.Records[0].Marks[0].N = 99
	if got := before.Records[0].Marks[0].N; got != 1 {
		t.Errorf("a state from before a change of the copy has %d, want 1", got)
	}
	if got := usedIn(r)["a"]; got != 2 {
		t.Errorf("the copy has %d, want 2", got)
	}
	if got := first.Records[0].Marks[0].N; got != 1 {
		t.Errorf("what the copy was made of has %d, want 1", got)
	}
}

// TestReplicaOutlivesAnEarlierHolder: what a holder sent before another node claimed the
// partition does not take the place of the copy of the later one, however late it comes.
func TestReplicaOutlivesAnEarlierHolder(t *testing.T) {
	const part = 7
	m := listener(t)
	copyOf := func(s *bucket.State) handover.Copy {
		return handover.Copy{Gen: handover.Gen(s.Gen), Lineage: s.Lineage, State: s}
	}
	m.replicated(holderOfAll, part, true, copyOf(changed(2<<32, 1, map[string]int64{"a": 5, "b": 1})))
	late := changed(1<<32, 9, map[string]int64{"a": 2})
	late.Lineage = 4
	m.replicated(handover.Node{Name: "n3", Boot: 3}, part, true, copyOf(late))
	m.replicated(holderOfAll, part, false, copyOf(changed(2<<32, 2, map[string]int64{"a": 6})))
	if got := usedIn(m.replicas.of[part]); got["a"] != 6 || got["b"] != 1 {
		t.Errorf("after a late copy of an earlier holder there is %v, want a 6 and b 1", got)
	}
}

// TestReplicaHandlesGone: reservations that are gone are told as such.
func TestReplicaHandlesGone(t *testing.T) {
	r := newReplica(1)
	id := bucketring.ID{1}
	r.take(&bucket.State{Lineage: 1, Seq: 1, Reserved: []bucket.Reserved{{ID: id, Limit: &perHour, Key: "k", Until: 10}}}, 1<<40)
	if got := r.state().Reserved; len(got) != 1 || got[0].Key != "k" {
		t.Errorf("Reserved = %v, want that of k", got)
	}
	r.take(&bucket.State{Lineage: 1, Seq: 2, Reserved: []bucket.Reserved{{ID: id}}}, 1<<40)
	if got := r.state().Reserved; len(got) != 0 {
		t.Errorf("Reserved = %v after it was gone, want none", got)
	}
}

// TestReplicaIsPruned: what time has made unused is forgotten.
func TestReplicaIsPruned(t *testing.T) {
	rs := replicas{of: [ring.Partitions]*replica{0: newReplica(1)}, pruned: ring.Partitions - 1}
	now := readings(0)
	window := now.Wall / int64(time.Hour)
	s := changed(1, 1, map[string]int64{"old": 3, "new": 3})
	for i := range s.Records {
		s.Records[i].Marks[0].At = window
		if s.Records[i].Key == "old" {
			s.Records[i].Marks[0].At = window - 1
		}
	}
	rs.of[0].take(s, 1<<40)
	rs.prune(bucket.New(bucket.Config{}), now)
	if got := usedIn(rs.of[0]); len(got) != 1 || got["new"] != 3 {
		t.Errorf("after pruning the copy has %v, want new alone", got)
	}
}

// TestChargesAreTold: what was admitted without the holder is one charge for each
// counter and window, and counts once however often it is told.
func TestChargesAreTold(t *testing.T) {
	var u charges
	req := bucketring.Request{Key: "k", Limits: bucketring.MustParse("10/h algorithm=fixed_window, 100/h"), Cost: 2}
	states := []bucketring.LimitState{{Window: 7}, {Window: 0}}
	u.note(5, &req, states)
	u.note(5, &req, states)
	states[0].Window = 8
	u.note(5, &req, states)
	peek := req
	peek.Verb = bucketring.VerbPeek
	u.note(5, &peek, states)
	u.gather()
	var told []bucketring.Charge
	for _, c := range u.calls {
		if c.req.Token == "" || c.req.Partition != 5 || !c.req.Each {
			t.Errorf("a call to tell charges is %+v, want a token, partition 5 and each by itself", c.req)
		}
		told = append(told, c.req.Charges...)
	}
	slices.SortFunc(told, func(a, b bucketring.Charge) int { return int(a.Window - b.Window) })
	if len(told) != 3 || told[0].Cost != 6 || told[1].Cost != 4 || told[2].Cost != 2 || told[2].Window != 8 || !told[2].Force {
		t.Errorf("told = %+v, want 6 of the bucket, 4 of window 7 and 2 of window 8, all forced", told)
	}
	n, err := New(Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	call := u.calls[0].req
	call.Charges = []bucketring.Charge{{Limit: &bucketring.Limit{Amount: 10, Per: time.Hour}, Key: "k", Cost: 12, Force: true}}
	for range 2 {
		if d, err := n.take(t.Context(), 5, &call); err != nil || d.Degraded {
			t.Fatalf("telling charges = %+v, %v", d, err)
		}
	}
	d, err := n.take(t.Context(), 5, &bucketring.Request{Verb: bucketring.VerbPeek, Partition: 5, Charges: []bucketring.Charge{{Limit: call.Charges[0].Limit, Key: "k"}}})
	if err != nil || d.Used != 12 {
		t.Errorf("Used = %d, %v after 12 of 10 were told twice, want 12", d.Used, err)
	}
}

// TestDiskKeepsWhatLasts: long windows, levels, long leases and their reservations, and
// it restores them with the time that has passed.
func TestDiskKeepsWhatLasts(t *testing.T) {
	written := readings(time.Hour)
	d := &disk{local: newLocal(Config{Name: "n1"}, mustAlone(t))}
	kept := map[string][]byte{}
	for key, s := range entries(9, everyKind(t, written)) {
		value, err := d.entry(s, written)
		if err != nil {
			t.Fatal(err)
		}
		kept[key] = value
	}
	if len(kept) != 8 { // not 9/m, nor leases or registers of a minute; a day's and its reservation
		t.Errorf("%d entries are kept, want 8", len(kept))
	}
	later := bucket.Now{Mono: int64(monoStart + time.Second), Wall: written.Wall + int64(30*time.Minute)}
	d.restore(func(yield func(k, v []byte) bool) {
		for k, v := range kept {
			if !yield([]byte(k), v) {
				return
			}
		}
		yield([]byte("x"), []byte("garbage"))
		yield([]byte("c\x00\x09key"), []byte("12345678garbage"))
		yield([]byte("c\xff\xffkey"), kept["?"])
	}, later)
	s := d.restored[9]
	if s == nil || len(s.Records)+len(s.Reserved) != 8 || s.Gen != 7 || s.Lineage != 8 {
		t.Fatalf("restored %+v, want all 8 of generation 7, lineage 8", s)
	}
	table := bucket.New(bucket.Config{Partitions: 16})
	table.Join(9, s, later)
	perHour := bucketring.MustParse("10/h")[0]
	if res := table.Do(bucketring.VerbPeek, bucket.Counter{Partition: 9, Key: "k", Limit: &perHour}, later, 0); res.Used != 0 {
		t.Errorf("a bucket that lacked 1 of 10 an hour has %d used half an hour later, want 0", res.Used)
	}
	perDay := bucketring.MustParse("7/d algorithm=fixed_window")[0]
	if res := table.Do(bucketring.VerbPeek, bucket.Counter{Partition: 9, Key: "k", Limit: &perDay}, later, 0); res.Used != 2 {
		t.Errorf("a day's window has %d used after the restart, want 2", res.Used)
	}
	if was := register(table, 9, "day", later, 1, time.Minute); !slices.Equal(was, []int64{5, -5}) {
		t.Errorf("a day's register has %v after the restart, want 5 and -5", was)
	}
	if shorter := table.Export(9, later); !slices.ContainsFunc(shorter.Records, func(r bucket.Record) bool { return r.Key == "day" && longRegister(&r) }) {
		t.Errorf("a register that was made to last a minute is not written: the disk would have it last a day")
	}
}

func mustAlone(t *testing.T) *ring.Ring {
	t.Helper()
	r, err := ring.NewBuilder(ring.Placer{}, "n1").Build([]ring.Member{{Name: "n1"}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCopiesShareLimits: counters that came in messages of their own keep one limit
// between them, and one that has changed is another.
func TestCopiesShareLimits(t *testing.T) {
	m := listener(t)
	held := map[string]*bucketring.Limit{}
	for part, amount := range map[uint32]int64{7: 10, 8: 10, 9: 11} {
		s := changed(1, 1, map[string]int64{fmt.Sprint("key", part): 1})
		own := *s.Records[0].Limit // as a message brings it
		own.Amount = amount
		s.Records[0].Limit = &own
		m.replicated(holderOfAll, part, true, handover.Copy{Gen: 1, Lineage: s.Lineage, State: s})
		for key, all := range m.replicas.of[part].records {
			held[key] = all[0].Limit
		}
	}
	if held["key7"] != held["key8"] {
		t.Error("two counters of one limit keep two, want one")
	}
	if got := held["key9"]; got == held["key7"] || got.Amount != 11 {
		t.Errorf("a counter of 11 has the limit %+v", got)
	}
}

// TestCopyOfNoPartition: a peer may ask for what does not exist.
func TestCopyOfNoPartition(t *testing.T) {
	m := listener(t)
	m.has(holderOfAll, &peerpb.Have{Part: ring.Partitions, Gen: 1, Seq: 1})
	m.replicated(holderOfAll, ring.Partitions, true, handover.Copy{Gen: 1, State: changed(1, 1, map[string]int64{"a": 1})})
	if got := m.replicas.at(ring.Partitions); got != nil {
		t.Errorf("at(%d) = %v, want none", ring.Partitions, got)
	}
}
