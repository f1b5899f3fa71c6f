// expect.go reads what a step must answer, and says how an answer differs.

package policytest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// An expectation is what a step must answer. A nil one is content with anything.
type expectation struct {
	line   int
	checks []check
	// fails says that it speaks of a call that cannot be carried out.
	fails bool
}

// A check adds how an answer differs from what is expected, if it does.
type check func(out *outcome, d *diff)

// A diff has one line for each thing expected, and one for what came instead.
type diff []string

func (d *diff) differ(want, got string) { *d = append(*d, "- "+want, "+ "+got) }

// same compares two texts about one thing.
func (d *diff) same(what, want, got string) {
	if want != got {
		d.differ(what+": "+want, what+": "+got)
	}
}

// covers reports whether an answer is none that surprises whatever is expected: an
// error must be spoken of.
func (e *expectation) covers(out *outcome) bool {
	return out.err == nil || e != nil && e.fails
}

func (e *expectation) check(out *outcome, d *diff) {
	if e == nil || out.err != nil && !e.fails {
		return
	}
	for _, c := range e.checks {
		c(out, d)
	}
}

// expectation reads what a step of some verb must answer. exact may stand beside it
// or in it.
func (r *reader) expectation(n *yaml.Node, name string, v *verb, exact bool) *expectation {
	if n == nil {
		return nil
	}
	in := name + " of " + v.name
	f := r.fields(n, in, v.expects...)
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		r.fail(n, "%s is empty: say what to expect, or leave it out", in)
	}
	e := &expectation{line: n.Line, fails: f["error"] != nil || f["status"] != nil}
	exact = r.boolean(f["exact"], "exact") || exact
	if f["exact"] != nil && f["body"] == nil {
		r.fail(f["exact"], "exact is about body, which is not there")
	}
	for _, key := range v.expects {
		if f[key] == nil {
			continue
		}
		if f["error"] != nil && key != "error" && key != "status" {
			r.fail(f[key], "a call that ends with an error has no %s", key)
			continue
		}
		if c := r.check(f[key], key, exact); c != nil {
			e.checks = append(e.checks, c)
		}
	}
	return e
}

// check reads one key of an expectation.
func (r *reader) check(n *yaml.Node, key string, exact bool) check {
	switch key {
	case "status":
		want := r.number(n, key, 100, 599)
		return func(out *outcome, d *diff) { statusCheck(want, out, d) }
	case "allowed":
		want := r.boolean(n, key)
		return func(out *outcome, d *diff) { d.same(key, fmt.Sprint(want), fmt.Sprint(out.allowed)) }
	case "leases":
		want := r.number(n, key, 0, math.MaxInt32)
		return func(out *outcome, d *diff) { d.same(key, decimal(want), strconv.Itoa(len(out.decision.Leases))) }
	case "released", "renewed":
		want := r.number(n, key, 0, math.MaxInt32)
		return func(out *outcome, d *diff) { d.same(key, decimal(want), strconv.Itoa(out.reached)) }
	case "error":
		return errorCheck(r.text(n, key))
	case "headers":
		return headersCheck(r.strings(n, key))
	case "absent":
		return absentCheck(r.texts(n, key))
	case "retry_after":
		return r.retryCheck(n)
	case "close":
		return r.closeCheck(n)
	case "limits":
		return r.limitsCheck(n)
	case "body":
		want := r.json(n, key)
		return func(out *outcome, d *diff) { compareBody(d, want, out.body, exact) }
	}
	return nil // exact
}

func decimal(n int64) string     { return strconv.FormatInt(n, 10) }
func quote(text string) string   { return strconv.Quote(text) }
func list(words []string) string { return strings.Join(words, ", ") }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func statusCheck(want int64, out *outcome, d *diff) {
	got := strconv.Itoa(out.status)
	if out.err != nil && got != decimal(want) {
		got += ", error: " + out.err.Error()
	}
	d.same("status", decimal(want), got)
}

func errorCheck(want string) check {
	return func(out *outcome, d *diff) {
		switch {
		case out.err == nil:
			d.differ("error: ..."+want+"...", "status: "+strconv.Itoa(out.status))
		case !strings.Contains(out.err.Error(), want):
			d.differ("error: ..."+want+"...", "error: "+out.err.Error())
		}
	}
}

func headersCheck(want map[string]string) check {
	names := sorted(maps.Keys(want))
	return func(out *outcome, d *diff) {
		for _, name := range names {
			got, ok := out.header(name)
			if !ok {
				got = "(absent)"
			}
			d.same(name, want[name], got)
		}
	}
}

func absentCheck(names []string) check {
	return func(out *outcome, d *diff) {
		for _, name := range names {
			if got, ok := out.header(name); ok {
				d.differ(name+": (absent)", name+": "+got)
			}
		}
	}
}

// retryCheck is for a Retry-After that is an estimate.
func (r *reader) retryCheck(n *yaml.Node) check {
	f := r.fields(n, "retry_after", "min", "max")
	r.need(n, "retry_after", f, "min", "max")
	least, most := r.number(f["min"], "min", 0, math.MaxInt32), r.number(f["max"], "max", 0, math.MaxInt32)
	if least > most {
		r.fail(n, "retry_after has a min of %d, above its max of %d", least, most)
	}
	return func(out *outcome, d *diff) {
		got, ok := out.header("Retry-After")
		seconds, err := strconv.ParseInt(got, 10, 64)
		if !ok {
			got = "(absent)"
		}
		if err != nil || seconds < least || seconds > most {
			d.differ(fmt.Sprintf("Retry-After: %d to %d", least, most), "Retry-After: "+got)
		}
	}
}

func (r *reader) closeCheck(n *yaml.Node) check {
	f := r.fields(n, "close", "code", "reason")
	code, reason := r.number(f["code"], "code", 0, 4999), r.text(f["reason"], "reason")
	return func(out *outcome, d *diff) {
		if f["code"] != nil {
			d.same("close code", decimal(code), strconv.Itoa(out.closeCode))
		}
		if f["reason"] != nil {
			d.same("close reason", quote(reason), quote(out.closeText))
		}
	}
}

// limitsCheck is about what each limit says, which no header shows.
func (r *reader) limitsCheck(n *yaml.Node) check {
	type one struct {
		name    string
		numbers map[string]string
		allowed *bool
	}
	var all []one
	for key, value := range r.entries(n, "limits") {
		f := r.fields(value, "limit "+key.Value, "used", "remaining", "limit", "allowed")
		o := one{name: key.Value, numbers: map[string]string{}}
		for _, what := range []string{"limit", "used", "remaining"} {
			if f[what] != nil {
				a := r.amount(f[what], what)
				o.numbers[what] = a.String()
			}
		}
		if f["allowed"] != nil {
			allowed := r.boolean(f["allowed"], "allowed")
			o.allowed = &allowed
		}
		all = append(all, o)
	}
	return func(out *outcome, d *diff) {
		states := statesOf(&out.decision)
		for _, want := range all {
			s, ok := states[want.name]
			if !ok {
				d.differ("limit "+want.name, "limits: "+namesOf(states))
				continue
			}
			for _, what := range sorted(maps.Keys(want.numbers)) {
				d.same(what+" of "+want.name, want.numbers[what], numberOf(&s, what))
			}
			if want.allowed != nil {
				d.same("allowed of "+want.name, fmt.Sprint(*want.allowed), fmt.Sprint(s.Allowed))
			}
		}
	}
}

// numberOf returns a number of a limit, as a decimal in its unit.
func numberOf(s *bucketring.LimitState, what string) string {
	n := s.Limit
	switch what {
	case "used":
		n = s.Used
	case "remaining":
		n = s.Remaining
	}
	return string(bucketring.AppendAmount(nil, n, s.Precision))
}

// String writes an amount as policies do, without trailing zeros.
func (a amount) String() string {
	if a.nanos == 0 {
		return decimal(a.units)
	}
	whole := new(big.Rat).SetInt64(a.units)
	whole.Add(whole, big.NewRat(int64(a.nanos), 1e9))
	return strings.TrimRight(whole.FloatString(9), "0")
}

// compareBody compares a body with what is expected of it.
func compareBody(d *diff, want any, body []byte, exact bool) {
	var got any
	if len(body) > 0 {
		decoder := json.NewDecoder(strings.NewReader(string(body)))
		decoder.UseNumber()
		if err := decoder.Decode(&got); err != nil {
			d.differ("body in JSON", "body: "+string(body))
			return
		}
	} else if want != nil {
		d.differ("body: "+written(want), "no body")
		return
	}
	compare(d, "body", want, got, exact)
}
