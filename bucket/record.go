// record.go is the state of counters outside of a table: what moves to another node,
// lies there as a copy, and is joined again.

package bucket

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
)

// A State is what a partition has: all of it, or what has changed. It does not
// change itself. Its monotonic times are those of one node.
type State struct {
	// Gen and Lineage are those of the partition's holder, Seq rises with each State
	// that it makes of the partition.
	Gen, Lineage, Seq uint64
	Records           []Record
	Reserved          []Reserved
}

// A Record is one counter.
type Record struct {
	Limit *bucketring.Limit // without name and modes; shared
	Key   string
	// Marks has one entry for each lineage of holders that has counted here, sorted.
	// A chain of handovers is one lineage; only crashes and splits add others.
	Marks []Mark
}

// A Mark is what one lineage has counted. What its numbers mean depends on the limit:
//
//	              At                   N                 Part
//	token bucket  µs, monotonic        tokens missing    further 1/token (rule.go)
//	fixed window  which window         tokens used
//	sliding       newest slot          -                 -     and Slots
//	level         version              change since Part the value that was set
//	concurrency   -                    -                 -     and Leases
//	register      when written, wall   longest life      until when it is good, and Slots: the
//	                                                     latest such time of all, and the numbers
//
// A window may have less than nothing used: where a reset took back what another
// lineage had counted.
type Mark struct {
	Lineage, Gen, Seq uint64
	At, N, Part       int64
	Slots             []int64
	Leases            []Lease
}

// A Lease is one that is out. Times are on the monotonic clock, in ns.
type Lease struct {
	ID                         bucketring.ID
	Cost                       int64
	Taken, Expires, Last, Life int64 // Last is MaxInt64 where no end was set; Life is the TTL
}

// A Reserved is a reservation.
type Reserved struct {
	ID      bucketring.ID
	Limit   *bucketring.Limit
	Key     string
	Window  int64
	Until   int64 // known until then, monotonic
	Full    int64 // a token bucket was full again by then, monotonic
	Charged int64
	Settled bool
}

// later reports whether m is a later word of the same lineage than o.
func (m *Mark) later(o *Mark) bool {
	return cmp.Or(cmp.Compare(m.Gen, o.Gen), cmp.Compare(m.Seq, o.Seq)) > 0
}

// JoinMarks joins what is known of one counter in two places: of each lineage the
// latest word. It is commutative, associative and idempotent. The result may share the memory of
// both, which nobody must change.
func JoinMarks(a, b []Mark) []Mark {
	if len(a) == 1 && len(b) == 1 && a[0].Lineage == b[0].Lineage { // nearly always
		if b[0].later(&a[0]) {
			return b
		}
		return a
	}
	all := slices.Clone(a)
	for i := range b {
		at, found := slices.BinarySearchFunc(all, b[i].Lineage, byLineage)
		switch {
		case !found:
			all = slices.Insert(all, at, b[i])
		case b[i].later(&all[at]):
			all[at] = b[i]
		}
	}
	return all
}

func byLineage(m Mark, lineage uint64) int { return cmp.Compare(m.Lineage, lineage) }

// markOf returns the mark of a lineage, nil if there is none, and the others.
func markOf(marks []Mark, lineage uint64) (own *Mark, others []Mark) {
	at, found := slices.BinarySearchFunc(marks, lineage, byLineage)
	if !found {
		return nil, marks
	}
	return &marks[at], slices.Delete(slices.Clone(marks), at, at+1)
}

// Relative returns the state with all monotonic times counted from now, for the way to
// another node, and Absolute is the way back. A state is on its way for no time then:
// what it says comes true a little late, never early.
func (s *State) Relative(now Now) *State { return s.moved(-max(now.Mono, 0), false) }

// Absolute is the inverse of Relative, on the clock of now.
func (s *State) Absolute(now Now) *State { return s.moved(max(now.Mono, 0), true) }

func (s *State) moved(by int64, up bool) *State {
	to := *s
	to.Records = slices.Clone(s.Records)
	for i := range to.Records {
		r := &to.Records[i]
		r.Marks = slices.Clone(r.Marks)
		for j := range r.Marks {
			if r.Limit != nil {
				r.Marks[j].move(r.Limit, by, up)
			}
		}
	}
	to.Reserved = slices.Clone(s.Reserved)
	for i := range to.Reserved {
		r := &to.Reserved[i]
		r.Until, r.Full = shift(r.Until, by), shift(r.Full, by)
		if r.Limit != nil && byMono(r.Limit) {
			r.Window = shiftWindow(r.Limit, r.Window, by, up)
		}
	}
	return &to
}

// Relative and Absolute are those of State for one mark of a limit.
func (m Mark) Relative(l *bucketring.Limit, now Now) Mark {
	m.move(l, -max(now.Mono, 0), false)
	return m
}

// Absolute is the inverse of Relative, on the clock of now.
func (m Mark) Absolute(l *bucketring.Limit, now Now) Mark {
	m.move(l, max(now.Mono, 0), true)
	return m
}

func (m *Mark) move(l *bucketring.Limit, by int64, up bool) {
	switch {
	case l.Kind == bucketring.KindConcurrency:
		m.Leases = slices.Clone(m.Leases)
		for i := range m.Leases {
			x := &m.Leases[i]
			x.Taken, x.Expires, x.Last = shift(x.Taken, by), shift(x.Expires, by), shift(x.Last, by)
		}
	case l.Kind == bucketring.KindRate && l.Refills():
		m.At = sum(m.At, units(by, tickOf(l), up))
	case byMono(l):
		m.At = shiftWindow(l, m.At, by, up)
	}
}

// noWindow is what a window of 0, which is none, becomes among those that are counted
// from now: they can be anything.
const noWindow = math.MinInt64

// shiftWindow moves the number of a window to another clock. One that began before that
// clock did, and is open, begins with it: late, never early.
func shiftWindow(l *bucketring.Limit, window, by int64, up bool) int64 {
	switch {
	case up && window == noWindow:
		return 0
	case !up && window == 0:
		return noWindow
	}
	window = sum(window, units(by, inMs, up))
	if up && window <= 0 {
		if window-1 > by/inMs-int64(l.Per)/inMs {
			return 1
		}
		return 0
	}
	return window
}

// byMono reports whether a limit's windows are numbered by the monotonic clock.
func byMono(l *bucketring.Limit) bool {
	return l.Kind == bucketring.KindRate && l.Algorithm == bucketring.FixedWindow &&
		l.Align == bucketring.AlignFirstRequest && l.Per%time.Second == 0
}

// shift moves a time and leaves "never" alone.
func shift(at, by int64) int64 {
	if at == math.MaxInt64 {
		return at
	}
	return sum(at, by)
}

// units cuts a duration to whole units, away from zero if up.
func units(by, unit int64, up bool) int64 {
	if up {
		return ceilDiv(by, unit)
	}
	return by / unit
}
