// fork_test.go follows a counter through a split: two lineages count it, hear of each
// other, and go on from node to node.

package bucket_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// A holder is a lineage on its way over nodes, each with a clock of its own.
type holder struct {
	*site
	gen, lineage uint64
	clock        int64         // its node's monotonic clock at noon
	heard        int64         // what the other lineage had taken when this one last heard
	leftover     *bucket.State // of an earlier node, relative
}

func newHolder(l bucketring.Limit, lineage uint64) *holder {
	s := newSite(l, lineage)
	s.table = bucket.New(bucket.Config{Closed: true})
	h := &holder{site: s, gen: 1, lineage: lineage, clock: noon.Mono}
	h.table.Open(0, 1, lineage, nil, h.now(0))
	return h
}

// now is the reading of the holder's clocks d after noon.
func (h *holder) now(d time.Duration) bucket.Now {
	return bucket.Now{Mono: h.clock + int64(d), Wall: noon.Wall + int64(d)}
}

// state is what the holder knows, for the way to another node.
func (h *holder) state(d time.Duration) *bucket.State {
	return h.table.Export(0, h.now(d)).Relative(h.now(d))
}

// moveTo hands the counter over to a node with another clock. The way takes a while.
func (h *holder) moveTo(clock int64, d, delay time.Duration) {
	s := h.table.Close(0, h.now(d)).Relative(h.now(d))
	h.leftover, h.clock = s, clock
	h.table = bucket.New(bucket.Config{Closed: true})
	h.gen++
	h.table.Open(0, h.gen, h.lineage, s.Absolute(h.now(d+delay)), h.now(d+delay))
}

// hear joins what another holder knows.
func (h *holder) hear(s *bucket.State, d time.Duration) {
	h.table.Join(0, s.Absolute(h.now(d)), h.now(d))
}

// clockOf draws a clock at noon. It is older than the longest window: what began before
// the clock of a node did is another test's.
func clockOf(t *rapid.T) int64 {
	return int64(2*bucketring.MaxPer) + rapid.Int64Range(0, int64(time.Hour)).Draw(t, "clock")
}

// TestForkAddsUp: after a split, a holder has used what its own lineage took, and what
// the other had taken when it last heard: exactly, however often either moves on, and
// whatever it hears twice or too late.
func TestForkAddsUp(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		if isBucket(l) {
			t.Skip("takes of a token bucket do not add up")
		}
		rapid.Check(t, func(t *rapid.T) {
			both := []*holder{newHolder(l, 1), newHolder(l, 2)}
			var old []*bucket.State // of the second, as the first has heard it
			at := time.Duration(0)
			for range rapid.IntRange(1, 30).Draw(t, "steps") {
				at += time.Duration(rapid.Int64Range(0, int64(300*time.Millisecond)).Draw(t, "wait"))
				i := rapid.IntRange(0, 1).Draw(t, "who")
				h, other := both[i], both[1-i]
				switch rapid.SampledFrom([]string{"take", "take", "hear", "hear again", "move", "leftover"}).Draw(t, "what") {
				case "take":
					h.take(h.now(at), rapid.Int64Range(1, 9).Draw(t, "n"))
				case "hear":
					s := other.state(at)
					h.hear(s, at)
					h.heard = other.sum
					if i == 0 {
						old = append(old, s)
					}
				case "hear again":
					if len(old) > 0 {
						both[0].hear(old[rapid.IntRange(0, len(old)-1).Draw(t, "old")], at)
					}
				case "move":
					delay := time.Duration(rapid.Int64Range(0, int64(5*time.Millisecond)).Draw(t, "delay"))
					h.moveTo(clockOf(t), at, delay)
					at += delay
				case "leftover": // what an earlier node of the lineage still has
					if h.leftover != nil {
						h.hear(h.leftover, at)
					}
				}
				for _, h := range both {
					if got := used(h.table, h.c, h.now(at)); got != h.sum+h.heard {
						t.Fatalf("lineage %d has used %d at %v, want %d of its own and %d heard", h.lineage, got, at, h.sum, h.heard)
					}
				}
			}
		})
	})
}

// TestForkOfBucketNeverRises: a token bucket that hears of another has at most what
// each of them had, and no more after any number of moves than time refills.
func TestForkOfBucketNeverRises(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		if !isBucket(l) {
			t.Skip("not a token bucket")
		}
		rapid.Check(t, func(t *rapid.T) {
			one, two := newHolder(l, 1), newHolder(l, 2)
			for _, h := range []*holder{one, two} {
				h.take(h.now(0), rapid.Int64Range(1, l.Amount).Draw(t, "n"))
				h.moveTo(clockOf(t), time.Second, 0)
			}
			at := 2 * time.Second
			most := min(seen(one.table, one.c, one.now(at))[0].Remaining, seen(two.table, two.c, two.now(at))[0].Remaining)
			s := two.state(at)
			for range rapid.IntRange(1, 4).Draw(t, "moves") {
				one.hear(s, at)
				if got := seen(one.table, one.c, one.now(at))[0].Remaining; got > most {
					t.Fatalf("Remaining after a join = %d, want at most %d", got, most)
				}
				one.moveTo(clockOf(t), at, 0)
			}
		})
	})
}

// TestBucketOfAnEarlyClock: what a token bucket lacks at a moment that is still to come,
// it lacks then, and more now.
func TestBucketOfAnEarlyClock(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		if !isBucket(l) {
			t.Skip("not a token bucket")
		}
		for _, ahead := range []time.Duration{time.Millisecond, 700 * time.Millisecond} {
			s, lacks := newSite(l, 1), l.Amount/2
			m := bucket.Mark{Lineage: 2, At: int64(time.Duration(noon.Mono)+ahead) / 1000, N: lacks}
			s.table.Join(0, &bucket.State{Records: []bucket.Record{{Limit: &l, Key: "k", Marks: []bucket.Mark{m}}}}, noon)
			if got := used(s.table, s.c, noon); got < lacks {
				t.Errorf("Used now = %d, want at least the %d in %v", got, lacks, ahead)
			}
			if got := used(s.table, s.c, after(ahead)); got != lacks {
				t.Errorf("Used in %v = %d, want %d", ahead, got, lacks)
			}
		}
	})
}

// TestForkHeardAfterReset: a reset takes back what the other lineage had counted, also
// if it says the same again, and if the counter was swept meanwhile.
func TestForkHeardAfterReset(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		if isBucket(l) || l.Kind == bucketring.KindConcurrency {
			t.Skip("the emptiest bucket and the union of leases know no reset")
		}
		one, two := newHolder(l, 1), newHolder(l, 2)
		one.take(noon, 2)
		two.take(noon, 5)
		s := two.state(0)
		one.hear(s, 0)
		one.table.Do(bucketring.VerbReset, one.c, noon, 0)
		one.hear(s, 0)
		if got := used(one.table, one.c, noon); got != 0 {
			t.Errorf("Used after a reset and what was known = %d, want 0", got)
		}
		one.table.Sweep(noon, 1)
		one.hear(s, 0)
		if got := used(one.table, one.c, noon); got != 0 {
			t.Errorf("Used after a reset, a sweep and what was known = %d, want 0", got)
		}
	})
}

// TestResetEndsWithItsWindow: what a reset took back of others' counts is for that window.
func TestResetEndsWithItsWindow(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		if l.Kind != bucketring.KindRate || isBucket(l) {
			t.Skip("has no windows")
		}
		one, two := newHolder(l, 1), newHolder(l, 2)
		two.take(noon, 5)
		one.hear(two.state(0), 0)
		one.table.Do(bucketring.VerbReset, one.c, noon, 0)
		s := one.table.Export(0, noon)
		later := after(40 * 24 * time.Hour)
		two.take(later, 8)
		two.table.Join(0, s, later)
		if got := used(two.table, two.c, later); got != 8 {
			t.Errorf("Used in a later window = %d, want 8", got)
		}
	})
}

// TestOpenWithSeveralStates: who goes on with a lineage opens with the latest that any
// state says of it, and with what others have counted, in any order.
func TestOpenWithSeveralStates(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		one, two := newHolder(l, 1), newHolder(l, 2)
		one.take(noon, 2)
		early := one.table.Export(0, noon)
		one.take(noon, 5)
		late := one.table.Export(0, noon)
		two.take(noon, 3)
		other := two.table.Export(0, noon)
		want := int64(10)
		if isBucket(l) {
			want = 7
		}
		for _, states := range [][]*bucket.State{{early, late, other}, {late, other, early}, {other, early, late, early}, {nil, early, other, late}} {
			table := bucket.New(bucket.Config{Closed: true})
			table.Open(0, 3, 1, states[0], noon, states[1:]...)
			if got := used(table, one.c, noon); got != want {
				t.Errorf("Used after opening with 2 and 7 of lineage 1, and 3 of another = %d, want %d", got, want)
			}
		}
	})
}

// TestRelabel: a holder that counts for another lineage from now on shows the same, and
// what ends or comes back then does not come again with a handover.
func TestRelabel(t *testing.T) {
	eachKind(t, func(t *testing.T, l bucketring.Limit) {
		h := newHolder(l, 1)
		h.take(noon, 6)
		h.lineage = 7
		h.table.Relabel(0, 2, 7, noon)
		if got := used(h.table, h.c, noon); got != 6 {
			t.Errorf("Used after Relabel = %d, want 6", got)
		}
		h.table.Sweep(noon, 1)
		h.gen++
		h.moveTo(int64(2*bucketring.MaxPer), 0, 0)
		h.take(h.now(0), 3)
		if got := used(h.table, h.c, h.now(0)); got != 9 {
			t.Errorf("Used after Relabel, a handover and a take of 3 = %d, want 9", got)
		}
		h.table.Relabel(0, 4, 8, h.now(0))
		h.gen, h.lineage = 4, 8
		h.table.Do(bucketring.VerbReset, h.c, h.now(0), 0)
		h.moveTo(noon.Mono, 0, 0)
		if got := used(h.table, h.c, h.now(0)); got != 0 {
			t.Errorf("Used after Relabel, a reset and a handover = %d, want 0", got)
		}
	})
}
