// lease.go has the commands on what a take has handed out: leases and reservations.

package resp

import (
	"context"
	"errors"
	"fmt"

	"github.com/bucketring/bucketring"
)

// maxReservation bounds a reservation, which may be for many limits, in bytes.
const maxReservation = 8 << 10

const errUnknownID = "ERR there is no such reservation: it was never made, or its window is over for long"

func (c *conn) runRenew(words [][]byte)   { c.runLeases(words, bucketring.VerbRenew) }
func (c *conn) runRelease(words [][]byte) { c.runLeases(words, bucketring.VerbRelease) }

// runLeases counts the leases that were reached. Each is a matter of its own, as each may be
// kept by another node. An id lets its holder end the lease, so no error repeats it.
func (c *conn) runLeases(words [][]byte, verb bucketring.Verb) {
	req := bucketring.Request{Verb: verb}
	for i, word := range words[1:] {
		req.IDs = append(req.IDs, string(word))
		if _, _, err := bucketring.ParseID(req.IDs[i]); err != nil {
			c.fail(fmt.Sprintf("ERR lease %d: %v", i+1, err))
			return
		}
	}
	if problem := c.permit(&req); problem != "" {
		c.fail(problem)
		return
	}
	jobs := make([]*job, len(req.IDs))
	for i, id := range req.IDs {
		jobs[i] = &job{key: id, task: &leasing{bucketring.Request{Verb: verb, IDs: req.IDs[i : i+1 : i+1]}}}
	}
	c.beside(0, jobs...)
}

// A leasing renews or releases one lease.
type leasing struct{ request bucketring.Request }

func (l *leasing) run(s *Server) (outcome, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ForwardWithin)
	defer cancel()
	d, err := s.ask(ctx, l.request)
	switch {
	case errors.Is(err, bucketring.ErrInvalid):
		return outcome{}, nil // it has the form of an id, and is none that can have been handed out
	case err != nil:
		return outcome{}, err
	}
	return outcome{total: int64(len(d.Leases))}, nil
}

func (c *conn) runSettle(words [][]byte) {
	req := bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{string(words[1])}}
	var valid bool
	req.Cost, req.CostNanos, valid = parseAmount(words[2])
	problem := unless(valid, errAmount)
	if n := len(words[1]); n == 0 || n > maxReservation {
		problem = fmt.Sprintf("ERR reservation must be 1 to %d bytes", maxReservation)
	}
	if problem == "" {
		problem = c.permit(&req)
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	c.beside(0, &job{key: req.IDs[0], task: &settling{req}})
}

// A settling settles a reservation.
type settling struct{ request bucketring.Request }

func (t *settling) run(s *Server) (outcome, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ForwardWithin)
	defer cancel()
	if _, err := s.ask(ctx, t.request); err != nil {
		return outcome{}, err
	}
	return outcome{reply: appendSimple(nil, "OK")}, nil
}
