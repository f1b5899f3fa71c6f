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
	slot *slot
	key  string
	task task
	next *job // on the same key
}

// A task asks the Limiter, and waits. Its error is one that errorText knows.
type task interface {
	run(s *Server) (outcome, error)
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

// do runs j. A panic there costs this job.
func (c *conn) do(j *job) (done outcome) {
	defer func() {
		if v := recover(); v != nil {
			c.server.panicked(v)
			done = outcome{reply: appendError(nil, errInternal)}
		}
	}()
	done, err := j.task.run(c.server)
	if err != nil {
		return outcome{reply: appendError(nil, errorText(err))}
	}
	return done
}

// A throttling is a CL.THROTTLE with what it asks.
type throttling struct {
	throttle
	request bucketring.Request
}

func (t *throttling) run(s *Server) (outcome, error) {
	if s.counters.has(t.request.Key) && t.isCounter(s) {
		return outcome{reply: appendError(nil, errWrongType)}, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ForwardWithin)
	defer cancel()
	d, err := s.cfg.Limiter.Take(ctx, t.request)
	if err != nil {
		return outcome{}, err
	}
	return outcome{reply: t.appendReply(nil, &d)}, nil
}

// isCounter reports whether a counter is there. If nobody can say it, the limit decides as
// if none were.
func (t *throttling) isCounter(s *Server) bool {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ForwardWithin)
	defer cancel()
	k := look(nil)
	k.key = t.request.Key
	said, err := k.step(ctx, s, s, 0)
	return err == nil && said.outcome == done
}

func (k *counting) run(s *Server) (outcome, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ForwardWithin)
	defer cancel()
	return k.do(ctx, s, s, nil)
}

// ask calls the Limiter, and demands an answer of who knows.
func (s *Server) ask(ctx context.Context, req bucketring.Request) (*bucketring.Decision, error) {
	d, err := s.cfg.Limiter.Take(ctx, req)
	switch {
	case err == nil && isAway(&d), errors.Is(err, bucketring.ErrUnavailable),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return nil, errOwnerAway
	}
	return &d, err
}

// errorText returns the reply for an error of the Limiter.
func errorText(err error) string {
	switch {
	case errors.Is(err, bucketring.ErrInvalid):
		return "ERR " + err.Error()
	case errors.Is(err, bucketring.ErrUnknownID):
		return errUnknownID
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
