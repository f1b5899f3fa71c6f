// hostile_test.go joins states that no table made. Whatever they say, nothing breaks,
// and nobody has more left than before.

package bucket_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// state reads a state about the key k of a limit, and about others, from the tape.
func (b *tape) state(l bucketring.Limit, now bucket.Now) *bucket.State {
	s := &bucket.State{Gen: uint64(b.any()), Lineage: uint64(b.pick(4)), Seq: uint64(b.any())}
	for range b.pick(4) {
		r := bucket.Record{Limit: b.strange(l), Key: b.key()}
		for range b.pick(4) {
			r.Marks = append(r.Marks, b.mark(l, now))
		}
		s.Records = append(s.Records, r)
	}
	for range b.pick(3) {
		s.Reserved = append(s.Reserved, bucket.Reserved{
			ID: idOf(b.pick(4) - 1), Limit: b.strange(l), Key: b.key(), Window: b.number(now.Wall / int64(time.Minute)),
			Until: b.number(now.Mono), Full: b.number(now.Mono), Charged: b.any(), Settled: b.pick(2) == 0,
		})
	}
	return s
}

// strange is mostly the limit, or one that is not valid, or has other amounts.
func (b *tape) strange(l bucketring.Limit) *bucketring.Limit {
	switch b.pick(16) {
	case 0:
		return nil
	case 1:
		l.Amount = b.any()
	case 2:
		l.Per = time.Duration(b.any())
	case 3:
		l.Kind = bucketring.Kind(b.pick(6))
	case 4:
		l.Zone, l.Align = "Nowhere/Else", bucketring.AlignCalendar
	}
	return &l
}

func (b *tape) key() string {
	switch b.pick(8) {
	case 0:
		return strings.Repeat("k", bucketring.MaxKeyLen+1)
	case 1:
		return ""
	default:
		return "k"
	}
}

// number is one near a base, or any.
func (b *tape) number(base int64) int64 {
	switch b.pick(4) {
	case 0:
		return b.any()
	case 1:
		return []int64{math.MinInt64, math.MaxInt64, math.MinInt64 + 1, math.MaxInt64 - 1, 0, -1, 1}[b.pick(7)]
	default:
		return plus(base, int64(b.byte())-128)
	}
}

// mark is anything. At is near the number that a window, slot or tick has.
func (b *tape) mark(l bucketring.Limit, now bucket.Now) bucket.Mark {
	at := now.Mono / 1000
	switch {
	case l.Kind == bucketring.KindLevel:
		at = 0
	case l.Align == bucketring.AlignFirstRequest && l.Per == bucketring.Month:
		at = now.Wall / int64(time.Second)
	case l.Align == bucketring.AlignFirstRequest:
		at = now.Mono / int64(time.Millisecond)
	case l.Algorithm == bucketring.FixedWindow:
		at, _ = windowAt(l, now.Wall)
	case l.Algorithm == bucketring.SlidingWindow:
		at = slotAt(now)
	}
	m := bucket.Mark{
		Lineage: uint64(b.pick(5)), Gen: uint64(b.pick(3)), Seq: uint64(b.pick(3)),
		At: b.number(at), N: b.number(5), Part: b.number(0),
	}
	for range []int{0, 61, 61, 61, 60, 62, 1}[b.pick(7)] {
		m.Slots = append(m.Slots, 0)
	}
	for range b.pick(4) {
		if len(m.Slots) > 0 {
			m.Slots[b.pick(len(m.Slots))] = b.number(2)
		}
		m.Leases = append(m.Leases, bucket.Lease{
			ID: idOf(b.pick(5) - 1), Cost: b.number(2), Taken: b.number(now.Mono), Expires: b.number(now.Mono),
			Last: b.number(now.Mono), Life: b.number(0),
		})
	}
	return m
}

// slotAt is the slot of a sliding minute.
func slotAt(now bucket.Now) int64 { return now.Wall / int64(time.Second) }

// mayRise reports whether a state may say that more is left than was known: a lineage
// may say less than before, a reset takes back what others counted, the later set of a
// level is right, and the window of a clock that is ahead is another one.
func mayRise(s *bucket.State, l bucketring.Limit, now bucket.Now, known map[uint64]bool) bool {
	if l.Kind != bucketring.KindRate || l.Algorithm == bucketring.TokenBucket {
		return l.Kind == bucketring.KindLevel
	}
	for _, r := range s.Records {
		for _, m := range r.Marks {
			switch {
			case known[m.Lineage]:
				return true
			case l.Algorithm == bucketring.FixedWindow && m.N < 0:
				return true
			case l.Algorithm == bucketring.SlidingWindow && (m.At > slotAt(now) || slices.ContainsFunc(m.Slots, func(n int64) bool { return n < 0 })):
				return true
			case l.Algorithm == bucketring.FixedWindow && l.Align != bucketring.AlignFirstRequest:
				if present, _ := windowAt(l, now.Wall); m.At > present {
					return true
				}
			}
		}
	}
	return false
}

// join plays a tape: an honest counter hears of a hostile state, as one that is here
// and as one that opens, and is used afterwards. It returns what is wrong.
func (b *tape) join() string {
	all := kinds()
	l := all[b.pick(len(all))].limit
	switch wide := bucket.FormOf(l).Wide; {
	case wide && isBucket(l):
		l.Burst = 10
	case l.Amount == 1<<20:
		l.Amount = 10
	}
	if l.Kind == bucketring.KindLevel && b.pick(4) == 0 {
		l.Amount = bucketring.Unlimited
	}
	table, c, now := bucket.New(bucket.Config{}), bucket.Counter{Key: "k", Limit: &l}, noon
	table.Relabel(0, 1, 1, now)
	for i := range b.pick(4) {
		table.Apply(take(int64(b.pick(6)), i+8), c, now)
	}
	known, rise := map[uint64]bool{}, false
	for range 1 + b.pick(3) {
		s := b.state(l, now)
		if b.pick(2) == 0 {
			s = s.Relative(bucket.Now{}).Absolute(bucket.Now{})
		}
		before := seen(table, c, now)[0]
		table.Join(0, s, now)
		got := seen(table, c, now)[0]
		rise = rise || mayRise(s, l, now, known)
		if got.Remaining > before.Remaining && !rise {
			return fmt.Sprintf("%v: Remaining rises from %d to %d by a join of %+v", l, before.Remaining, got.Remaining, *s)
		}
		for _, r := range s.Records {
			for _, m := range r.Marks {
				known[m.Lineage] = true
			}
		}
		if fault := b.use(table, c, now); fault != "" {
			return fmt.Sprintf("%v after a join of %+v: %s", l, *s, fault)
		}
		other := bucket.New(bucket.Config{Closed: true})
		other.Open(0, 2, 2, s, now)
		if fault := b.use(other, c, now); fault != "" {
			return fmt.Sprintf("%v opened with %+v: %s", l, *s, fault)
		}
		now = after(time.Duration(now.Mono-noon.Mono) + time.Duration(b.byte())*time.Second)
	}
	return ""
}

// use calls all there is, and looks at the answers.
func (b *tape) use(table *bucket.Table, c bucket.Counter, now bucket.Now) string {
	for i := range 4 {
		table.Settle(0, idOf(i-1), int64(b.pick(9)), 0, now)
		table.Renew(0, idOf(i-1), now)
		if b.pick(2) == 0 {
			table.Release(0, idOf(i-1), now)
		}
	}
	for _, verb := range []bucketring.Verb{bucketring.VerbTake, bucketring.VerbRefund, bucketring.VerbPeek} {
		res := table.Apply(bucket.Op{Verb: verb, N: int64(b.pick(4)), ID: idOf(77)}, c, now)
		if res.Remaining < 0 || res.Remaining > c.Limit.Capacity() || res.Used < 0 || res.Retry < 0 {
			return fmt.Sprintf("%v = %+v, want 0 ≤ Remaining ≤ %d and nothing below 0", verb, res, c.Limit.Capacity())
		}
	}
	table.Sweep(now, 1)
	for _, r := range table.Export(0, now).Records {
		if len(r.Key) > bucketring.MaxKeyLen {
			return fmt.Sprintf("there is a counter of a key of %d bytes", len(r.Key))
		}
	}
	there := bucket.New(bucket.Config{Closed: true})
	there.Open(0, 9, 1, table.Export(0, now).Relative(now).Absolute(now), now)
	there.Join(0, table.Close(0, now), now)
	if got := table.Stats(); got.Keys != 0 || got.Bytes != 0 || got.Leases != 0 || got.Reservations != 0 {
		return fmt.Sprintf("Stats after Close = %+v, want nothing", got)
	}
	table.Open(0, 3, 1, there.Close(0, now), now)
	return ""
}

// TestHostileStates plays random tapes.
func TestHostileStates(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	for i := range 3000 {
		data := make([]byte, 400)
		for k := 0; k < len(data); k += 8 {
			binary.LittleEndian.PutUint64(data[k:], random.Uint64())
		}
		if fault := (&tape{data}).join(); fault != "" {
			t.Fatalf("seed %d, tape %d: %s", seed, i, fault)
		}
	}
}

// FuzzJoin lets the fuzzer write the states.
func FuzzJoin(f *testing.F) {
	for i := range byte(len(kinds())) {
		data := []byte{i}
		for k := range byte(200) {
			data = append(data, k*37+i, k*11)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if fault := (&tape{data}).join(); fault != "" {
			t.Fatal(fault)
		}
	})
}
