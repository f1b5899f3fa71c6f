// apply.go is the arithmetic of counters.

package resp

import "math"

// apply does o to the counter at now, in ms since 1970, and returns the outcome and the
// value to answer. The counter is meaningless if the outcome is not done.
func (c *counter) apply(o *operation, now int64) (outcome, value int64) {
	at, valid := o.moment(now)
	switch {
	case !valid:
		return invalidTime, c.value
	case !c.there && (o.flags&ifThere != 0 || o.op != opSet && o.op != opAdd):
		return absent, 0
	}
	switch o.op {
	case opSet:
		return c.set(o, at, now)
	case opAdd:
		return c.add(o, at, now)
	case opExpire:
		return c.expire(o, at, now)
	case opDelete:
		c.there = false
	}
	return done, c.value
}

// moment returns when o wants the counter to end, in ms since 1970: 0 if it wants no
// moment. It is not valid if no 64-bit number can say it, or, but for opExpire, if what
// the client has said is not above 0.
func (o *operation) moment(now int64) (at int64, valid bool) {
	if o.expiry == keepExpiry || o.expiry == noExpiry {
		return 0, true
	}
	if at = o.time; at <= 0 && o.op != opExpire {
		return 0, false
	}
	if o.expiry == inSeconds || o.expiry == atSecond {
		if at > math.MaxInt64/1000 || at < math.MinInt64/1000 {
			return 0, false
		}
		at *= 1000
	}
	if o.expiry == inSeconds || o.expiry == inMillis {
		if at > 0 && now > math.MaxInt64-at {
			return 0, false
		}
		at += now
	}
	return at, true
}

// end makes the counter end as o wants, which may be at once.
func (c *counter) end(o *operation, at, now int64) {
	switch o.expiry {
	case keepExpiry:
	case noExpiry:
		c.expiry = 0
	default:
		c.expiry, c.there = at, at > now
	}
}

func (c *counter) set(o *operation, at, now int64) (outcome, value int64) {
	if c.there && o.flags&ifAbsent != 0 {
		return refused, c.value
	}
	c.there, c.value = true, o.number
	c.end(o, at, now)
	return done, o.number
}

func (c *counter) add(o *operation, at, now int64) (outcome, value int64) {
	result := c.value + o.number
	tooHigh, tooLow := result > o.high, result < o.low
	switch { // a sum that does not fit has come round to the other end
	case o.number > 0 && result < c.value:
		tooHigh, tooLow = true, false
	case o.number < 0 && result > c.value:
		tooHigh, tooLow = false, true
	}
	if tooHigh || tooLow {
		switch {
		case o.flags&overflows != 0:
			return overflown, c.value
		case o.flags&saturates == 0:
			return refused, c.value
		case tooHigh:
			result = o.high
		default:
			result = o.low
		}
		// What was out of bounds may have so long a way back that no number says it.
		if (result >= c.value) != (result-c.value >= 0) {
			return overflown, c.value
		}
	}
	c.there, c.value = true, result
	if o.flags&ifLasting == 0 || c.expiry == 0 {
		c.end(o, at, now)
	}
	return done, result
}

// expire holds one that never ends for later than any that does.
func (c *counter) expire(o *operation, at, now int64) (outcome, value int64) {
	ending := c.expiry != 0
	switch {
	case o.flags&ifLasting != 0 && ending,
		o.flags&ifEnding != 0 && !ending,
		o.flags&ifLater != 0 && (!ending || at <= c.expiry),
		o.flags&ifSooner != 0 && ending && at >= c.expiry:
		return refused, c.value
	}
	c.end(o, at, now)
	return done, c.value
}
