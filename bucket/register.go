// register.go is a few numbers that a bucketring.Step changes: the counters of protocols
// that count in their own way.

package bucket

import (
	"cmp"
	"slices"
	"time"

	"github.com/bucketring/bucketring"
)

// A Stepping is a step on its way to its register and back.
type Stepping struct {
	Run  bucketring.Step
	Args []int64
	// Answer is what Run has said; Panic what it panicked with, and then nothing has changed.
	Answer []int64
	Panic  any

	changed bool
}

// registerSize is about what the numbers of a register use, in bytes.
const registerSize = 64

// A register is the numbers, and when they were written and until when they are good, both on
// the wall clock. Of all numbers that it has had, longest is for how long some were good, and
// last until when. The zero value does not exist.
type register struct {
	numbers                       []int64
	written, until, longest, last int64
}

// buriedFor is how long, at most, a register that was forgotten early is kept, so that no
// older copy of it comes to life again: longer than copies of former holders, and what a
// node finds on its disk, wait for somebody to join them.
const buriedFor = int64(10 * time.Minute)

// ahead is how far in the future a register may have been written: more is a mistake of
// somebody's clock.
const ahead = int64(time.Minute)

// step runs a step. It sees a copy, so that one that panics leaves no half of its work.
func (g *register) step(op *Op, now Now, res *Result) {
	*res = Result{Allowed: true}
	if op.Step == nil {
		return // another verb, which a register does not know
	}
	s := op.Step
	s.Answer, s.Panic, s.changed = nil, nil, false
	seen := bucketring.Register{Now: max(now.Wall, g.written)}
	if g.until > seen.Now {
		seen.Numbers, seen.Until = slices.Clone(g.numbers), g.until
	}
	defer func() { s.Panic = recover() }()
	answer := s.Run(&seen, s.Args)
	if len(answer) > bucketring.MaxNumbers || len(seen.Numbers) > bucketring.MaxNumbers {
		panic("a step has made more than MaxNumbers numbers")
	}
	s.Answer = answer
	if len(seen.Numbers) == 0 || seen.Until <= seen.Now {
		seen.Numbers, seen.Until = nil, 0
	}
	if s.changed = seen.Until != g.until || !slices.Equal(seen.Numbers, g.numbers); s.changed {
		// Two words of a register are never of one moment, whatever the clock says.
		*g = register{seen.Numbers, max(now.Wall, g.written+1), seen.Until, max(g.longest, seen.Until-seen.Now), max(g.last, seen.Until)}
	}
}

// unused reports whether the register says no more than one that does not exist: nothing now,
// and nothing to anybody who has an older copy.
func (g *register) unused(now Now) bool {
	t := max(now.Wall, g.written)
	return (len(g.numbers) == 0 || g.until <= t) && t >= min(g.last, sum(g.written, buriedFor))
}

func (g *register) mark() Mark {
	return Mark{At: g.written, N: g.longest, Part: g.until, Slots: append([]int64{g.last}, g.numbers...)}
}

// putMark is the inverse of mark. What no step can have made is nothing.
func (g *register) putMark(m Mark, now Now) {
	if n := len(m.Slots); n == 0 || n > 1+bucketring.MaxNumbers {
		return
	}
	if m.At > now.Wall+ahead {
		m.At = now.Wall
	}
	*g = register{slices.Clone(m.Slots[1:]), m.At, m.Part, m.N, m.Slots[0]}
}

// foldRegister joins what several lineages have written: the last word is right, but for those
// of a clock that is wrong. Of two at the same moment it is the one that lasts longer, and
// then any, but the same everywhere.
func foldRegister(marks []Mark, now Now) (last Mark) {
	var latest int64
	right := func(m *Mark) int {
		if m.At > now.Wall+ahead {
			return 0
		}
		return 1
	}
	for i := range marks {
		m := &marks[i]
		if i == 0 || cmp.Or(right(m)-right(&last), cmp.Compare(m.At, last.At), cmp.Compare(m.Part, last.Part), slices.Compare(m.Slots, last.Slots)) > 0 {
			last.At, last.Part, last.Slots = m.At, m.Part, m.Slots
		}
		last.N = max(last.N, m.N)
		if len(m.Slots) > 0 {
			latest = max(latest, m.Slots[0])
		}
	}
	if len(last.Slots) > 0 {
		last.Slots = slices.Clone(last.Slots)
		last.Slots[0] = latest
	}
	return last
}

// firstStepLocked runs a step where no register is, and keeps what it makes, if there is
// room for that.
func (t *Table) firstStepLocked(p *part, r *rule, hash uint64, c *call) (res Result) {
	b := newBucket(r, hash, c.Key, c.now, 0)
	b.do(&c.op, c.now, &res)
	switch {
	case b.isUnused(c.now):
		return res
	case t.isFull(c.Counter) && (t.sweepFullLocked(p, c.now) == 0 || t.isFull(c.Counter)):
		t.overflowed.Add(1)
		c.op.Step.Answer = nil // of what did not happen
		return Result{Retry: retryFull}
	}
	t.insertLocked(p, b)
	t.note(c.Partition, b)
	return res
}
