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

// A register is the numbers, when they were written and until when they are good, both on
// the wall clock, and the longest time for which any were good that it has had. The zero
// value does not exist.
type register struct {
	numbers                 []int64
	written, until, longest int64
}

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
		*g = register{seen.Numbers, seen.Now, seen.Until, max(g.longest, seen.Until-seen.Now)}
	}
}

// unused reports whether the register says no more than one that does not exist.
func (g *register) unused(now Now) bool {
	return len(g.numbers) == 0 || g.until <= max(now.Wall, g.written)
}

func (g *register) mark() Mark {
	return Mark{At: g.written, N: g.longest, Part: g.until, Slots: slices.Clone(g.numbers)}
}

// putMark is the inverse of mark. What no step can have made is nothing.
func (g *register) putMark(m Mark, now Now) {
	if len(m.Slots) <= bucketring.MaxNumbers {
		*g = register{slices.Clone(m.Slots), min(m.At, now.Wall+ahead), m.Part, m.N}
	}
}

// foldRegister joins what several lineages have written: the last word is right. Of two at
// the same moment it is the one that lasts longer, and then any, but the same everywhere.
func foldRegister(marks []Mark) (last Mark) {
	for i := range marks {
		m := &marks[i]
		if cmp.Or(cmp.Compare(m.At, last.At), cmp.Compare(m.Part, last.Part), slices.Compare(m.Slots, last.Slots)) > 0 {
			last.At, last.Part, last.Slots = m.At, m.Part, m.Slots
		}
		last.N = max(last.N, m.N)
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
		return Result{Retry: retryFull}
	}
	t.insertLocked(p, b)
	t.note(c.Partition, b)
	return res
}
