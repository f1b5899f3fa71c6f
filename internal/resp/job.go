// job.go carries out what the Limiter cannot decide at once.

package resp

import (
	"context"
	"errors"

	"github.com/bucketring/bucketring"
)

// A job is a command, or its part that is about one key, that runs beside the
// connection.
type job struct {
	slot     *slot
	request  bucketring.Request
	throttle throttle // for CL.THROTTLE
	counts   bool     // is of DEL or EXISTS: the reply is how many keys were there
	remove   bool     // is of DEL
	next     *job     // on the same key
}

// An outcome is what became of a job: its reply, or what it adds to the total.
type outcome struct {
	reply []byte
	total int64
}

// beside puts the jobs of the command at hand behind those before it. Their reply is
// the first that one of them has, or the sum of total and theirs.
func (c *conn) beside(total int64, jobs ...*job) {
	c.mu.Lock()
	c.count-- // this one is counted by its slot
	c.server.counts.commands.Add(1)
	overrun := c.handOver()
	begin := c.open(&slot{total: total}, jobs)
	c.mu.Unlock()
	if overrun {
		c.kill()
	}
	for _, j := range begin {
		go c.carryOut(j)
	}
}

// carryOut does j and the jobs that wait for it.
func (c *conn) carryOut(j *job) {
	for j != nil {
		next, overrun := c.settle(j, c.do(j))
		if overrun {
			c.kill()
		}
		j = next
	}
}

// do asks the Limiter. A panic there costs this job.
func (c *conn) do(j *job) (done outcome) {
	defer func() {
		if v := recover(); v != nil {
			c.server.panicked(v)
			done = outcome{reply: appendError(nil, errInternal)}
		}
	}()
	d, err := c.server.ask(j.request)
	switch {
	case err != nil:
		return outcome{reply: appendError(nil, errorText(err))}
	case !j.counts:
		return outcome{reply: j.throttle.appendReply(nil, &d)}
	case isAway(&d):
		return outcome{reply: appendError(nil, errAway)}
	case d.ResetAfter <= 0:
		return outcome{}
	case !j.remove:
		return outcome{total: 1}
	}
	reset := j.request
	reset.Verb = bucketring.VerbReset
	switch d, err = c.server.ask(reset); {
	case err != nil:
		return outcome{reply: appendError(nil, errorText(err))}
	case isAway(&d):
		return outcome{reply: appendError(nil, errAway)}
	}
	return outcome{total: 1}
}

// ask calls the Limiter, which may take as long as a command may wait.
func (s *Server) ask(request bucketring.Request) (bucketring.Decision, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ForwardWithin)
	defer cancel()
	return s.cfg.Limiter.Take(ctx, request)
}

// errorText returns the reply for an error of the Limiter.
func errorText(err error) string {
	switch {
	case errors.Is(err, bucketring.ErrInvalid):
		return "ERR " + err.Error()
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return "UNAVAILABLE no node could decide this command in time, try again in 1 second"
	}
	return "UNAVAILABLE " + err.Error()
}

// isAway reports whether d was made up because nobody who knows the key could be
// asked.
func isAway(d *bucketring.Decision) bool {
	switch d.Source {
	case bucketring.SourceFallbackShare, bucketring.SourceFallbackOpen, bucketring.SourceFallbackClosed:
		return true
	}
	return false
}
