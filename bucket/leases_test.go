package bucket_test

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// concurrent is 10 at once, each for a minute after its last renewal.
func concurrent() bucketring.Limit {
	return bucketring.Limit{Name: "jobs", Kind: bucketring.KindConcurrency, Amount: 10, TTL: time.Minute}
}

// idOf is the n-th id; none is zero.
func idOf(n int) (id bucketring.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

// take is a take of a lease or of a reservation.
func take(n int64, id int) bucket.Op { return bucket.Op{N: n, ID: idOf(id)} }

// TestLeases tells what a lease does, call by call.
func TestLeases(t *testing.T) {
	table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: new(concurrent())}
	at := func(s int) bucket.Now { return after(time.Duration(s) * time.Second) }
	apply := func(s int, op bucket.Op, want bucket.Result) {
		t.Helper()
		if diff := cmp.Diff(want, table.Apply(op, c, at(s))); diff != "" {
			t.Errorf("%v %d at %ds (-want +got):\n%s", op.Verb, op.N, s, diff)
		}
	}
	denied := func(used int64, retry time.Duration) bucket.Result {
		return bucket.Result{Used: used, Remaining: 10 - used, Retry: retry}
	}
	allowed := func(used int64) bucket.Result {
		return bucket.Result{Allowed: true, Used: used, Remaining: 10 - used}
	}
	again := func(used int64) bucket.Result {
		return bucket.Result{Allowed: true, Used: used, Remaining: 10 - used, Repeated: true}
	}
	peek := func(n int64) bucket.Op { return bucket.Op{Verb: bucketring.VerbPeek, N: n} }
	apply(0, peek(3), allowed(3))
	apply(0, take(0, 1), allowed(0)) // no lease
	apply(0, take(11, 1), denied(0, bucketring.Never))
	apply(0, take(4, 1), allowed(4))
	apply(1, take(5, 2), allowed(9))
	apply(1, take(4, 1), again(9))
	apply(1, take(2, 3), denied(9, time.Second))
	apply(1, peek(2), denied(9, time.Second))
	apply(1, peek(1), allowed(10))
	apply(1, bucket.Op{N: 1}, denied(9, bucketring.Never)) // nobody could end it
	if table.Release(0, idOf(3), at(1)) {
		t.Error("Release of a lease that was denied = true, want false")
	}
	if left, ok := table.Renew(0, idOf(1), at(30)); !ok || left != time.Minute {
		t.Errorf("Renew = %v, %v, want 1m0s, true", left, ok)
	}
	apply(60, peek(0), allowed(9))
	apply(61, peek(0), allowed(4)) // the second one was not renewed
	if left, ok := table.Renew(0, idOf(2), at(61)); ok {
		t.Errorf("Renew of a lease that has expired = %v, %v, want false", left, ok)
	}
	if !table.Release(0, idOf(1), at(62)) || table.Release(0, idOf(1), at(62)) {
		t.Error("the first Release = false, or the second = true")
	}
	apply(62, peek(0), allowed(0))
	if got := table.Stats(); got.Leases != 0 || table.Sweep(at(62), 1) != 1 || table.Stats().Bytes != 0 {
		t.Errorf("Stats = %+v, want no leases, and an unused counter", got)
	}
}

// TestLeaseEnds: how far renewals go, and that a lowered amount, a reset and a
// refund are what they are for rates.
func TestLeaseEnds(t *testing.T) {
	l := concurrent()
	l.MaxAge = 90 * time.Second
	table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
	table.Apply(take(6, 1), c, noon)
	if left, ok := table.Renew(0, idOf(1), after(50*time.Second)); !ok || left != 40*time.Second {
		t.Errorf("Renew beyond MaxAge = %v, %v, want 40s, true", left, ok)
	}
	less := l
	less.Amount, less.TTL = 5, time.Second
	got := table.Apply(bucket.Op{Verb: bucketring.VerbPeek, N: 1}, bucket.Counter{Key: "k", Limit: &less}, after(50*time.Second))
	if want := (bucket.Result{Used: 6, Retry: time.Second}); got != want {
		t.Errorf("peek under a lower amount = %+v, want %+v", got, want)
	}
	if _, ok := table.Renew(0, idOf(1), after(90*time.Second)); ok {
		t.Error("Renew at MaxAge = true, want false")
	}
	now := after(2 * time.Minute)
	table.Apply(take(3, 2), c, now)
	table.Apply(take(3, 3), c, now)
	if got := table.Apply(bucket.Op{Verb: bucketring.VerbRefund, ID: idOf(2)}, c, now); got.Used != 3 {
		t.Errorf("refund of one lease = %+v, want Used 3", got)
	}
	if got := table.Do(bucketring.VerbRefund, c, now, 3); got.Used != 3 {
		t.Errorf("refund of no lease = %+v, want Used 3", got)
	}
	other := bucket.Counter{Key: "other", Limit: &l}
	if got := table.Apply(bucket.Op{Verb: bucketring.VerbRefund, ID: idOf(3)}, other, now); got.Used != 0 {
		t.Errorf("refund at another counter = %+v, want Used 0", got)
	}
	if got := table.Apply(take(1, 3), other, now); got.Allowed || got.Retry != bucketring.Never {
		t.Errorf("take with the id of another counter = %+v, want a denial for ever", got)
	}
	if got := table.Do(bucketring.VerbReset, c, now, 0); got.Used != 0 || table.Release(0, idOf(3), now) {
		t.Errorf("reset = %+v, or a lease is still there", got)
	}
	for _, part := range []uint32{1, 65535} {
		if _, ok := table.Renew(part, idOf(3), now); ok || table.Release(part, idOf(3), now) {
			t.Errorf("Renew or Release in partition %d = true, want false", part)
		}
	}
}

// TestLeaseEstimate: a denial says the median of how long the last 64 leases of
// the limit lasted, of whichever key.
func TestLeaseEstimate(t *testing.T) {
	l := concurrent()
	l.Amount = 1
	table, full := bucket.New(bucket.Config{}), bucket.Counter{Key: "full", Limit: &l}
	table.Apply(take(1, 1), full, noon)
	now, next := noon, 2
	last := func(lives ...time.Duration) time.Duration {
		for _, life := range lives {
			table.Apply(take(1, next), bucket.Counter{Key: "k", Limit: &l}, now)
			now.Mono += int64(life)
			if !table.Release(0, idOf(next), now) {
				table.Apply(bucket.Op{Verb: bucketring.VerbPeek}, bucket.Counter{Key: "k", Limit: &l}, now) // expired
			}
			next++
			table.Renew(0, idOf(1), now)
		}
		return table.Apply(bucket.Op{Verb: bucketring.VerbPeek, N: 1}, full, now).Retry
	}
	tests := []struct {
		lives []time.Duration
		want  time.Duration
	}{
		{nil, time.Second},
		{[]time.Duration{5 * time.Second}, 5 * time.Second},
		{[]time.Duration{8 * time.Second}, 6500 * time.Millisecond},
		{[]time.Duration{20 * time.Second}, 8 * time.Second},
		{slices.Repeat([]time.Duration{time.Millisecond}, 64), time.Second},
		{slices.Repeat([]time.Duration{50 * time.Second}, 33), 30 * time.Second},
		{slices.Repeat([]time.Duration{7 * time.Second}, 64), 7 * time.Second},
	}
	for i, tt := range tests {
		if got := last(tt.lives...); got != tt.want {
			t.Errorf("Retry after step %d = %v, want %v", i, got, tt.want)
		}
	}
	other := l
	other.ID = 7
	table.Apply(take(1, 9999), bucket.Counter{Key: "k", Limit: &other}, now)
	if got := table.Apply(take(1, 9998), bucket.Counter{Key: "k", Limit: &other}, now); got.Retry != time.Second {
		t.Errorf("Retry of another limit = %+v, want 1s", got)
	}
}

// TestLeasesAreBounded: so many of one key, and none in a full table.
func TestLeasesAreBounded(t *testing.T) {
	l := concurrent()
	l.Amount = 1 << 40
	table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
	for i := range 10_000 {
		if got := table.Apply(take(1, i), c, noon); !got.Allowed {
			t.Fatalf("take %d = %+v, want it allowed", i, got)
		}
	}
	if got := table.Apply(take(1, 10_000), c, noon); got.Allowed || got.Retry != time.Second {
		t.Errorf("take beyond 10,000 = %+v, want a denial for 1s", got)
	}
	for _, l := range []bucketring.Limit{concurrent(), levelOf(10)} {
		table := bucket.New(bucket.Config{MaxKeys: 1})
		table.Take(counterOf(shapes()[0], "known"), noon, 1)
		c := bucket.Counter{Key: "k", Limit: &l}
		for i := range 2 {
			got := table.Apply(take(1, i), c, noon)
			if want := (bucket.Result{Remaining: 10, Retry: time.Second}); got != want {
				t.Errorf("take of a %v in a full table = %+v, want %+v", l.Kind, got, want)
			}
		}
		if got := table.Do(bucketring.VerbPeek, c, noon, 0); !got.Allowed || got.Remaining != 10 {
			t.Errorf("a look at a %v in a full table = %+v, want it allowed", l.Kind, got)
		}
		if got := table.Stats(); got.Overflowed != 2 || got.Keys != 1 {
			t.Errorf("Stats = %+v, want 2 overflowed and 1 key", got)
		}
	}
	small := bucket.New(bucket.Config{MaxBytes: 2000})
	for i := range 100 {
		small.Apply(take(1, i), c, noon)
	}
	if got := small.Stats(); got.Bytes > 2000 || got.Leases == 0 || got.Leases+got.Overflowed != 100 {
		t.Errorf("Stats = %+v, want some leases in 2000 bytes", got)
	}
}

// A slowLease is one of the model: a list that every call walks.
type slowLease struct {
	id            int
	key           string
	cost          int64
	expires, last time.Duration
}

// A leasePair is a table and the model.
type leasePair struct {
	table *bucket.Table
	held  []slowLease
	now   time.Duration
}

// TestLeasesEqualTheModel: random calls at two keys, with amounts and clocks that
// change, give what a list gives.
func TestLeasesEqualTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := &leasePair{table: bucket.New(bucket.Config{})}
		for range rapid.IntRange(1, 80).Draw(t, "calls") {
			p.now += time.Duration(rapid.IntRange(0, 40).Draw(t, "wait")) * time.Second
			p.held = slices.DeleteFunc(p.held, func(l slowLease) bool { return l.expires <= p.now })
			if rapid.Bool().Draw(t, "takes") {
				p.take(t)
			} else {
				p.other(t)
			}
		}
		p.table.Sweep(after(p.now+time.Hour), 1)
		if got := p.table.Stats(); got.Keys != 0 || got.Bytes != 0 || got.Leases != 0 {
			t.Fatalf("Stats after all = %+v, want nothing left", got)
		}
	})
}

// draw draws an id, and where it is in the model, or -1.
func (p *leasePair) draw(t *rapid.T) (id, i int) {
	id = rapid.IntRange(0, 5).Draw(t, "id")
	return id, slices.IndexFunc(p.held, func(l slowLease) bool { return l.id == id })
}

func (p *leasePair) take(t *rapid.T) {
	id, i := p.draw(t)
	key, n := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), rapid.Int64Range(0, 3).Draw(t, "n")
	l := concurrent()
	l.Amount = rapid.Int64Range(0, 6).Draw(t, "amount")
	last := time.Duration(1<<63 - 1)
	if rapid.Bool().Draw(t, "old") {
		l.MaxAge = 100 * time.Second
		last = p.now + l.MaxAge
	}
	used := int64(0)
	for _, h := range p.held {
		if h.key == key {
			used += h.cost
		}
	}
	got := p.table.Apply(take(n, id), bucket.Counter{Key: key, Limit: &l}, after(p.now))
	known := i >= 0 && p.held[i].key == key
	want := n == 0 || known || i < 0 && used+n <= l.Amount
	if want && n > 0 && !known {
		p.held = append(p.held, slowLease{id, key, n, min(p.now+time.Minute, last), last})
		used += n
	}
	if got.Allowed != want || got.Used != used || got.Remaining != max(l.Amount-used, 0) {
		t.Fatalf("take %d of %q at %v = %+v, want %v with %d used", n, key, p.now, got, want, used)
	}
}

func (p *leasePair) other(t *rapid.T) {
	id, i := p.draw(t)
	switch rapid.SampledFrom([]string{"renew", "release", "sweep", "reset"}).Draw(t, "verb") {
	case "renew":
		left, ok := p.table.Renew(0, idOf(id), after(p.now))
		want := time.Duration(0)
		if i >= 0 {
			p.held[i].expires = min(p.now+time.Minute, p.held[i].last)
			want = p.held[i].expires - p.now
		}
		if ok != (i >= 0) || left != want {
			t.Fatalf("Renew at %v = %v, %v, want %v, %v", p.now, left, ok, want, i >= 0)
		}
	case "release":
		if got := p.table.Release(0, idOf(id), after(p.now)); got != (i >= 0) {
			t.Fatalf("Release at %v = %v, want %v", p.now, got, i >= 0)
		}
		if i >= 0 {
			p.held = slices.Delete(p.held, i, i+1)
		}
	case "reset":
		p.table.Do(bucketring.VerbReset, bucket.Counter{Key: "a", Limit: new(concurrent())}, after(p.now), 0)
		p.held = slices.DeleteFunc(p.held, func(l slowLease) bool { return l.key == "a" })
	case "sweep":
		p.table.Sweep(after(p.now), 1)
		if got := p.table.Stats().Leases; got != int64(len(p.held)) {
			t.Fatalf("Leases after a sweep at %v = %d, want %d", p.now, got, len(p.held))
		}
	}
}

// TestExactlyTenAtOnce: of 200 that come together, 10 get a lease, and each that
// is released lets in one more.
func TestExactlyTenAtOnce(t *testing.T) {
	l := concurrent()
	table, c := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}
	var got atomic.Int64
	acquire := func(from int) (winners []int) {
		var mu sync.Mutex // guards winners
		var wg sync.WaitGroup
		start := make(chan struct{})
		for i := range 200 {
			wg.Go(func() {
				<-start
				if table.Apply(take(1, from+i), c, noon).Allowed {
					got.Add(1)
					mu.Lock()
					winners = append(winners, from+i)
					mu.Unlock()
				}
				if i%50 == 0 {
					table.Stats()
					table.Renew(0, idOf(from+i), noon)
				}
			})
		}
		close(start)
		wg.Wait()
		return winners
	}
	winners := acquire(0)
	if len(winners) != 10 {
		t.Fatalf("%d of 200 got a lease, want 10", len(winners))
	}
	for _, id := range winners[:4] {
		table.Release(0, idOf(id), noon)
	}
	if again := acquire(1000); len(again) != 4 {
		t.Errorf("%d got a lease after 4 were released, want 4", len(again))
	}
}
