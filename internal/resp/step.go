// step.go is the language in which the doors of all nodes ask for counters, and the Step
// that understands it. Nodes of different versions speak it: numbers may get a meaning
// here, and never another one.

package resp

import (
	"math"

	"github.com/bucketring/bucketring"
)

// CounterID names CounterStep among the Steps of a node. It is the FNV-1a hash, of 64 bits,
// of "_redis counter", and must never change.
const CounterID = 0xf5d4c8d0372849a1

// What can be done to a counter.
const (
	opLook   = iota // answers, and is no use of the counter
	opGet           // answers
	opSet           // makes number the value
	opAdd           // adds number
	opExpire        // changes when it ends
	opDelete
	numOps
)

// Flags of an operation.
const (
	ifThere    = 1 << iota // nothing is done to a counter that is not there
	ifAbsent               // of opSet: nothing is done to one that is there; NX
	ifLasting              // of opAdd: the expiry is set only where there is none; ENX. Of opExpire: NX
	ifEnding               // of opExpire: only if there is an expiry; XX
	ifLater                // of opExpire: only if that makes it end later; GT
	ifSooner               // of opExpire: only if that makes it end sooner; LT
	saturates              // of opAdd: stop at a bound instead of doing nothing
	overflows              // of opAdd: beyond 64 bits is an error instead of a bound
	knownFlags = 1<<iota - 1
)

// What an operation says of the expiry.
const (
	keepExpiry = iota
	noExpiry
	inSeconds
	inMillis
	atSecond
	atMilli
	numExpiries
)

// Outcomes of an operation. But for done, the counter is as it was.
const (
	done        = iota
	absent           // it is not there
	refused          // a condition or a bound did not hold
	overflown        // the value, or what was added, does not fit
	invalidTime      // the expiry is no time that can be kept
	unknown          // a newer door asks for what is not known here
	noRoom      = -1 // no step has said so: there is no room for another counter
)

// An operation is what a step is told about one counter.
type operation struct {
	op, flags int64
	idle      int64 // in ns: how long a counter without an expiry stays unused
	number    int64
	low, high int64 // of opAdd: what the value must not leave
	expiry    int64 // what time means
	time      int64
}

// operationSize is how many numbers an operation is. A later version may tell more.
const operationSize = 8

func (o *operation) args() []int64 {
	return []int64{o.op, o.flags, o.idle, o.number, o.low, o.high, o.expiry, o.time}
}

// operationOf reads the arguments of a step. It reports false if they say what is not
// known here.
func operationOf(args []int64) (o operation, known bool) {
	if len(args) < operationSize {
		return o, false
	}
	o = operation{args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]}
	return o, o.op >= 0 && o.op < numOps && o.flags&^knownFlags == 0 && o.expiry >= 0 && o.expiry < numExpiries
}

// An answer is what a step says.
type answer struct {
	outcome int64
	before  int64 // 1 if the counter was there
	old     int64 // value before; 0 if it was not there
	value   int64 // after; also of one that an expiry in the past took away
	left    int64 // ms until it ends, notEnding, or gone
}

// What an answer says is left of what has no time left.
const (
	notEnding = -1
	gone      = -2 // is not there now
)

const answerSize = 5

func (a *answer) numbers() []int64 { return []int64{a.outcome, a.before, a.old, a.value, a.left} }

// answerOf is the inverse of numbers. Less than an answer says that nothing is known.
func answerOf(values []int64) answer {
	if len(values) < answerSize {
		return answer{outcome: unknown}
	}
	return answer{values[0], values[1], values[2], values[3], values[4]}
}

// CounterStep is the Step of this door's counters, which CounterID names. A register of it
// is a value and, in ms since 1970, when it ends, 0 for never.
func CounterStep(r *bucketring.Register, args []int64) []int64 {
	o, known := operationOf(args)
	if !known {
		return (&answer{outcome: unknown}).numbers()
	}
	now := max(r.Now, 0) / 1e6
	c := counterOf(r, now)
	a := answer{old: c.value}
	if c.there {
		a.before = 1
	}
	after := c
	if a.outcome, a.value = after.apply(&o, now); a.outcome != done {
		after = c
	}
	a.left = after.left(now)
	if o.op != opLook {
		after.keep(r, o.idle)
	}
	return a.numbers()
}

// A counter is what a register of CounterStep says. Without a value it is no counter.
type counter struct {
	there         bool
	value, expiry int64
}

// counterOf reads a register, in which a counter that has ended may be left.
func counterOf(r *bucketring.Register, now int64) (c counter) {
	if len(r.Numbers) < 2 || r.Numbers[1] != 0 && r.Numbers[1] <= now {
		return counter{}
	}
	return counter{true, r.Numbers[0], r.Numbers[1]}
}

// keep writes the counter into its register.
func (c *counter) keep(r *bucketring.Register, idle int64) {
	switch {
	case !c.there:
		r.Numbers = nil
		return
	case c.expiry == 0:
		r.Until = sum(r.Now, max(idle, 0))
	case c.expiry > math.MaxInt64/1_000_000:
		r.Until = math.MaxInt64
	default:
		r.Until = c.expiry * 1e6
	}
	r.Numbers = append(r.Numbers[:0], c.value, c.expiry)
}

// left returns how long the counter is still there, as an answer says it.
func (c *counter) left(now int64) int64 {
	switch {
	case !c.there:
		return gone
	case c.expiry == 0:
		return notEnding
	}
	return c.expiry - now
}

// sum adds what is not negative to a, and stops at the largest number.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}
