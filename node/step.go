// step.go runs the steps of registers.

package node

import (
	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// knowsStep reports whether this node has the step of a register.
func (l *Local) knowsStep(limit *bucketring.Limit) error {
	if l.steps[limit.ID] == nil {
		return bucketring.Invalidf("this node knows no step %#x: all nodes must run a version that has it", limit.ID)
	}
	return nil
}

// step decides a call of a register into d, which is empty. A step that panics has changed
// nothing, and panics on: whoever took the call answers for it.
func (c *call) step(d *bucketring.Decision) {
	limit := &c.limits[0]
	s := bucket.Stepping{Run: c.steps[limit.ID], Args: c.args}
	op := bucket.Op{Verb: bucketring.VerbStep, Step: &s}
	res := c.table.Apply(op, bucket.Counter{Partition: c.part, Key: c.key, Limit: limit}, c.now)
	switch {
	case res.Away:
		c.away = true
	case s.Panic != nil:
		panic(s.Panic)
	default:
		show(&d.LimitState, limit, &res, c.now)
		d.Allowed, d.Values = res.Allowed, s.Answer
	}
}
