// policy.go has the commands on limits that a policy has.

package resp

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bucketring/bucketring"
)

// Bounds of what a policy is asked, as at the other doors. What is larger is refused.
const (
	maxAttributes     = 32  // of one call
	maxAttributeName  = 64  // bytes
	maxAttributeValue = 512 // bytes, and of a namespace
)

const errAmount = "ERR cost must be a number of 0 or more such as 5 or 12.5"

func (c *conn) runPolicyTake(words [][]byte)  { c.runPolicy(words, bucketring.VerbTake) }
func (c *conn) runPolicyPeek(words [][]byte)  { c.runPolicy(words, bucketring.VerbPeek) }
func (c *conn) runPolicyUsage(words [][]byte) { c.runPolicy(words, bucketring.VerbUsage) }

// runPolicy asks beside the connection: only the node knows where a policy counts.
func (c *conn) runPolicy(words [][]byte, verb bucketring.Verb) {
	req, problem := parsePolicy(words, verb)
	if problem == "" {
		problem = c.permit(&req)
	}
	if problem != "" {
		c.fail(problem)
		return
	}
	c.beside(0, &job{key: subject(&req), task: &asking{req, c.version, c.caller}})
}

// parsePolicy reads a command's name, namespace [attribute value]... [COST n]. What is COST
// in capitals cannot be the name of an attribute.
func parsePolicy(words [][]byte, verb bucketring.Verb) (req bucketring.Request, problem string) {
	req = bucketring.Request{Verb: verb, Namespace: string(words[1]), Attributes: map[string]string{}}
	if n := len(req.Namespace); n == 0 || n > maxAttributeValue {
		return req, fmt.Sprintf("ERR namespace must be 1 to %d bytes", maxAttributeValue)
	}
	rest := words[2:]
	for ; len(rest) > 0 && string(rest[0]) != "COST"; rest = rest[2:] {
		if len(rest) == 1 {
			return req, countText(words[:1])
		}
		if problem = addAttribute(req.Attributes, rest[0], rest[1]); problem != "" {
			return req, problem
		}
	}
	switch {
	case verb == bucketring.VerbUsage:
		return req, unless(len(rest) == 0, "ERR usage has no COST, and no attribute can have this name")
	case len(rest) == 0:
		req.Cost = 1
		return req, ""
	case len(rest) != 2:
		return req, "ERR syntax error: one number follows COST, and nothing else"
	}
	var valid bool
	req.Cost, req.CostNanos, valid = parseAmount(rest[1])
	return req, unless(valid, errAmount)
}

// addAttribute adds an attribute within the bounds.
func addAttribute(all map[string]string, name, value []byte) (problem string) {
	_, there := all[string(name)]
	switch {
	case there:
		return fmt.Sprintf("ERR attribute '%s' is given twice", name)
	case len(name) == 0 || len(name) > maxAttributeName:
		return fmt.Sprintf("ERR the name of an attribute must be 1 to %d bytes", maxAttributeName)
	case len(value) > maxAttributeValue:
		return fmt.Sprintf("ERR attribute '%s' has %d bytes, at most %d are allowed", name, len(value), maxAttributeValue)
	case len(all) == maxAttributes:
		return fmt.Sprintf("ERR more than %d attributes in one command", maxAttributes)
	}
	all[string(name)] = string(value)
	return ""
}

// subject names whom a call is about, in the place of a key: calls about the same take
// effect in their order.
func subject(req *bucketring.Request) string {
	b := appendBulk(nil, req.Namespace)
	for _, name := range slices.Sorted(maps.Keys(req.Attributes)) {
		b = appendBulk(appendBulk(b, name), req.Attributes[name])
	}
	return string(b)
}

// An asking is a call with a policy, of a client that may make it.
type asking struct {
	request bucketring.Request
	version int             // of the protocol
	caller  context.Context // as of the connection
}

func (a *asking) run(s *Server) (outcome, error) {
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.ForwardWithin)
	defer cancel()
	reply, err := a.reply(ctx, s)
	if errors.Is(err, bucketring.ErrNoPolicy) {
		return outcome{reply: appendError(nil, unknownNamespace(a.request.Namespace, err))}, nil
	}
	return outcome{reply: reply}, err
}

// reply makes do with what is decided without the owner, but not for usage: there is no
// place in it to say so.
func (a *asking) reply(ctx context.Context, s *Server) ([]byte, error) {
	if a.request.Verb == bucketring.VerbUsage {
		d, err := s.ask(ctx, a.request)
		if err != nil {
			return nil, err
		}
		return appendUsage(nil, a.version, d.Limits), nil
	}
	d, err := s.cfg.Limiter.Take(ctx, a.request)
	if err != nil {
		return nil, err
	}
	if guard := s.cfg.Guard; guard != nil {
		d.Leases, d.Reservation = guard.Hide(a.caller, d.Leases, d.Reservation)
	}
	return appendDecision(nil, a.version, &d), nil
}

// unknownNamespace is the error for a namespace without a policy. It has the nearest name
// if err ends with one, as bucketring.Suggest says it.
func unknownNamespace(namespace string, err error) string {
	near := err.Error()
	if at := strings.LastIndex(near, ": did you mean "); at >= 0 && strings.HasSuffix(near, `"?`) {
		near = near[at:]
	} else {
		near = ""
	}
	return fmt.Sprintf("ERR unknown namespace '%s'%s", cut([]byte(namespace)), near)
}
