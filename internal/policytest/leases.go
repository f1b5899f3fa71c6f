// leases.go has the steps about what takes hand out: release, renew and settle.

package policytest

import (
	"context"
	"errors"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// Names that no step gives.
const (
	lastName = "last" // what the last take has handed out
	allNames = "all"  // what all takes have handed out
)

// handed is what takes have handed out.
type handed struct{ leases, reservations []string }

// remember keeps what a take has handed out.
func (r *run) remember(as string, d *bucketring.Decision) {
	all := []*handed{&r.all}
	if as != "" {
		if r.taken[as] == nil {
			r.taken[as] = &handed{}
		}
		all = append(all, r.taken[as])
	}
	for _, h := range all {
		h.leases = append(h.leases, d.Leases...)
		if d.Reservation != "" {
			h.reservations = append(h.reservations, d.Reservation)
		}
	}
	if len(d.Leases) > 0 {
		r.last.leases = d.Leases
	}
	if d.Reservation != "" {
		r.last.reservations = []string{d.Reservation}
	}
}

// named returns what a name stands for; nothing if its takes were all refused.
func (r *run) named(name string) handed {
	switch h := r.taken[name]; {
	case name == lastName:
		return r.last
	case name == allNames:
		return r.all
	case h != nil:
		return *h
	}
	return handed{}
}

// held is a step about leases.
type held struct {
	verb bucketring.Verb
	of   string
}

func (r *reader) held(n *yaml.Node, name string, known *names) *held {
	verb := bucketring.VerbRelease
	if name == "renew" {
		verb = bucketring.VerbRenew
	}
	return &held{verb, r.oldName(n, name, known.takes, lastName, allNames)}
}

// idsAtOnce is how many leases one call may name.
const idsAtOnce = 1000

func (h *held) do(r *run, s *step) *outcome {
	out := &outcome{about: word(h.of), allowed: true, status: 200}
	leases := r.named(h.of).leases
	if len(leases) == 0 && s.expect == nil && s.last == nil {
		r.fail(s, "%s %s: no lease was handed out: the take was refused, or met no concurrency limit", s.verb, h.of)
		return nil
	}
	for ids := range slices.Chunk(leases, idsAtOnce) {
		d, err := r.node.Take(context.Background(), bucketring.Request{Verb: h.verb, IDs: ids})
		out.reached += len(d.Leases)
		out.err = errors.Join(out.err, err)
	}
	return out
}

// word tells steps apart that are about a name.
func word(name string) func() string { return func() string { return " " + name } }

// A settle says what the work of a take has cost in the end.
type settle struct {
	of   string
	cost amount
}

func (r *reader) settle(n *yaml.Node, known *names) *settle {
	f := r.fields(n, "settle", "of", "cost")
	r.need(n, "settle", f, "of", "cost")
	return &settle{r.oldName(f["of"], "of", known.takes, lastName), r.amount(f["cost"], "cost")}
}

func (s *settle) do(r *run, _ *step) *outcome {
	reservations := r.named(s.of).reservations
	out := outcomeOf(bucketring.Decision{}, bucketring.ErrUnknownID)
	if len(reservations) == 0 {
		out.err = errors.New("nothing was reserved: the take was refused, or met no limit whose cost is from report")
	}
	for _, id := range reservations {
		out = outcomeOf(r.node.Take(context.Background(), bucketring.Request{
			Verb: bucketring.VerbSettle, IDs: []string{id}, Cost: s.cost.units, CostNanos: s.cost.nanos,
		}))
		if out.err != nil {
			break
		}
	}
	out.about = word(s.of)
	return out
}
