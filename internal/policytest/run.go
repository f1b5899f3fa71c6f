package policytest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

// Options say how scripts are run. The zero Options work.
type Options struct {
	// Env finds environment variables that policies refer to; nil means that none
	// is set.
	Env func(name string) (string, bool)
	// Nodes is how many nodes take the calls in turn, each owning a part of the
	// keys; 0 means 1.
	Nodes int
}

// Run carries out all tests of a script. The error is about the script or its
// policy, with file, line and column; what answers differently than a test expects
// is in the Report.
func Run(file string, opt Options) (Report, error) {
	report := Report{File: file, Tests: []Result{}}
	text, err := os.ReadFile(file)
	if err != nil {
		return report, err
	}
	s, err := read(file, text, opt)
	if err != nil {
		return report, err
	}
	for i := range s.tests {
		result, err := s.run(&s.tests[i], opt)
		if err != nil {
			return report, err
		}
		report.Tests = append(report.Tests, result)
	}
	return report, nil
}

// A run is one test under way.
type run struct {
	opt     Options
	now     time.Time
	policy  *policy.Policy // the one that was loaded last; calls are in its namespace
	node    *nodes
	local   *node.Node // counts what each connection is allowed
	taken   map[string]*handed
	all     handed // of all takes
	last    handed // of the last take that handed something out, leases and reservation apart
	open    map[string]*connection
	opened  int // connections so far
	failed  map[*step]int
	stopped bool
	result  Result
}

// run carries out one test on empty counters.
func (s *script) run(t *test, opt Options) (Result, error) {
	r := &run{
		opt: opt, now: t.start, policy: s.policy,
		taken: map[string]*handed{}, open: map[string]*connection{}, failed: map[*step]int{},
		result: Result{Name: t.name, Line: t.line, Failures: []Failure{}},
	}
	var errs [2]error
	r.node, errs[0] = newNodes(opt.Nodes, r.clock)
	r.local, errs[1] = node.New(node.Config{Name: "connections", Now: r.clock})
	if err := errors.Join(errs[:]...); err != nil {
		return r.result, err
	}
	r.swap(s.policy)
	if s.tables != nil {
		s.tables.do(r, nil)
	}
	r.steps(t.steps)
	return r.result, nil
}

func (r *run) clock() time.Time { return r.now }
func (r *run) moment() string   { return r.now.Format(time.RFC3339Nano) }

// swap makes p the policy of its namespace. Counters are kept.
func (r *run) swap(p *policy.Policy) {
	r.policy = p
	r.node.SetPolicies(r.node.Policies().WithPolicy(p))
}

func (r *run) steps(all []*step) {
	for _, s := range all {
		if r.stopped {
			return
		}
		r.step(s)
	}
}

// step carries out one step as often as it says, and checks the answers.
func (r *run) step(s *step) {
	r.result.Steps++
	for i := range s.times {
		out := s.action.do(r, s)
		if out == nil {
			continue
		}
		var d diff
		last := s.last
		if i < s.times-1 {
			last = nil
		}
		if !s.expect.covers(out) && !last.covers(out) {
			d.differ("an answer", "error: "+out.err.Error())
		}
		s.expect.check(out, &d)
		last.check(out, &d)
		if len(d) == 0 {
			continue
		}
		which := ""
		if s.times > 1 {
			which = fmt.Sprintf(" %d of %d", i+1, s.times)
		}
		r.fail(s, "%s%s%s at %s%s (- want, + got)\n%s", s.verb, which, out.about(), r.moment(), out.refusal(), strings.Join(d, "\n"))
	}
}

// fail notes that a step failed, with all words the first time only: a step may be
// repeated often.
func (r *run) fail(s *step, format string, args ...any) {
	if i, again := r.failed[s]; again {
		r.result.Failures[i].Again++
		return
	}
	r.failed[s] = len(r.result.Failures)
	line := s.line
	if s.expect != nil {
		line = s.expect.line
	} else if s.last != nil {
		line = s.last.line
	}
	r.result.Failures = append(r.result.Failures, Failure{Line: line, Text: fmt.Sprintf(format, args...)})
}

// An advance lets time pass.
type advance time.Duration

func (a advance) do(r *run, _ *step) *outcome {
	r.now = r.now.Add(time.Duration(a))
	return nil
}

// An at lets time pass up to a moment.
type at time.Time

func (a at) do(r *run, s *step) *outcome {
	if to := time.Time(a); to.Before(r.now) {
		r.fail(s, "at %s: it is %s already, and the clock only runs forward: the test ends here",
			to.Format(time.RFC3339Nano), r.moment())
		r.stopped = true
	} else {
		r.now = to
	}
	return nil
}

// A repeat does several steps several times.
type repeat struct {
	times int
	steps []*step
}

func (rep *repeat) do(r *run, _ *step) *outcome {
	for range rep.times {
		r.steps(rep.steps)
	}
	return nil
}

// An outcome is what came of a step that has an answer.
type outcome struct {
	about     func() string // which call it was
	decision  bucketring.Decision
	err       error
	allowed   bool
	status    int
	headers   []bucketring.Header
	body      []byte
	closeCode int
	closeText string
	reached   int // leases
}

// outcomeOf is what a decision looks like over HTTP.
func outcomeOf(d bucketring.Decision, err error) *outcome {
	out := &outcome{decision: d, err: err, allowed: d.Allowed, status: 200, reached: len(d.Leases)}
	switch {
	case errors.Is(err, bucketring.ErrInvalid):
		out.status = 400
	case errors.Is(err, bucketring.ErrNoPolicy), errors.Is(err, bucketring.ErrUnknownID):
		out.status = 404
	case err != nil:
		out.status = 503
	case d.Response != nil:
		out.status, out.headers, out.body = d.Response.Status, d.Response.Headers, d.Response.Body
		out.closeCode, out.closeText = d.Response.CloseCode, d.Response.CloseReason
	case !d.Allowed:
		out.status = 429
	}
	if err != nil {
		out.decision, out.allowed = bucketring.Decision{}, false
	}
	return out
}

// refusal says who refused, if someone did.
func (out *outcome) refusal() string {
	if r := out.decision.Response; r != nil && len(r.Violated) > 0 {
		return ", refused by " + strings.Join(r.Violated, " and ")
	}
	return ""
}

// header returns the value of a field, whatever the case of its name.
func (out *outcome) header(name string) (value string, ok bool) {
	for _, h := range out.headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value, true
		}
	}
	return "", false
}

// statesOf returns what each limit said, by its name.
func statesOf(d *bucketring.Decision) map[string]bucketring.LimitState {
	all := map[string]bucketring.LimitState{}
	for _, s := range d.All() {
		if s.Name != "" {
			all[s.Name] = s
		}
	}
	return all
}

func namesOf(states map[string]bucketring.LimitState) string {
	if len(states) == 0 {
		return "none"
	}
	return list(sorted(maps.Keys(states)))
}
