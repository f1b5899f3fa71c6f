// script.go is what a script says, and how it is written.

package policytest

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring/policy"
)

// version is the apiVersion of scripts.
const version = "limits-test/v1"

type script struct {
	policy *policy.Policy
	tables *tables
	tests  []test
}

type test struct {
	name  string
	line  int
	start time.Time
	steps []*step
}

// A step is an action with what it must answer.
type step struct {
	line         int
	verb         string
	action       action
	times        int
	as           string       // remembers what the calls hand out
	expect, last *expectation // of each answer, and of the last one; nil for any
}

// An action is what one step does.
type action interface {
	// do carries the step out once. It returns nil if there is no answer to check.
	do(r *run, s *step) *outcome
}

// A verb says what may stand beside it in a step.
type verb struct {
	name      string
	expects   []string // keys of expect; nil if there is nothing to expect
	times, as bool
}

var (
	answerKeys = []string{"status", "headers", "absent", "body", "exact", "close", "leases", "retry_after", "limits", "allowed", "error"}
	usageKeys  = []string{"status", "headers", "absent", "body", "exact", "limits", "error"}

	verbs = []verb{
		{"take", answerKeys, true, true},
		{"peek", answerKeys, true, false},
		{"refund", answerKeys, true, false},
		{"level", answerKeys, true, false},
		{"usage", usageKeys, true, false},
		{"count", nil, false, false},
		{"settle", []string{"status", "headers", "absent", "limits", "error"}, false, false},
		{"release", []string{"status", "headers", "absent", "released", "error"}, false, false},
		{"renew", []string{"status", "headers", "absent", "renewed", "error"}, false, false},
		{"connection", []string{"status", "error"}, false, false},
		{"allow", []string{"allowed", "close"}, false, false},
		{"advance", nil, false, false},
		{"at", nil, false, false},
		{"policy", nil, false, false},
		{"table", nil, false, false},
		{"load_error", nil, false, false},
		{"repeat", nil, false, false},
	}
)

func verbNames() []string {
	all := make([]string, len(verbs))
	for i := range verbs {
		all[i] = verbs[i].name
	}
	return all
}

// names are what the steps so far have named with "as".
type names struct{ takes, connections []string }

// read reads a script. The error lists all that is wrong with it.
func read(file string, text []byte, opt Options) (*script, error) {
	r := &reader{file: file, opt: opt, loaded: map[string]*policy.Policy{}}
	s := &script{}
	if root := r.root(text); root != nil {
		s = r.script(root)
	}
	if len(r.list) == 0 {
		return s, nil
	}
	slices.SortStableFunc(r.list, func(a, b *policy.Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return nil, r.list
}

func (r *reader) script(n *yaml.Node) *script {
	f := r.fields(n, "the script", "apiVersion", "policy", "tables", "tests")
	r.need(n, "the script", f, "apiVersion", "policy", "tests")
	if v := f["apiVersion"]; v != nil && v.Value != version {
		r.fail(v, "apiVersion is %s, it must be %s", describe(v), version)
	}
	s := &script{policy: r.policy(f["policy"]), tables: r.tables(f["tables"], "tables")}
	lines := map[string]int{}
	for _, item := range r.items(f["tests"], "tests") {
		t := r.test(item)
		if line := lines[t.name]; line != 0 && t.name != "" {
			r.fail(item, "test %q has the name of the one in line %d", t.name, line)
		}
		lines[t.name] = t.line
		s.tests = append(s.tests, t)
	}
	return s
}

func (r *reader) test(n *yaml.Node) test {
	f := r.fields(n, "test", "name", "start", "steps")
	r.need(n, "test", f, "name", "steps")
	t := test{name: r.text(f["name"], "name"), line: n.Line, start: time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)}
	if f["start"] != nil {
		t.start = r.time(f["start"], "start")
	}
	t.steps = r.steps(f["steps"], &names{})
	return t
}

func (r *reader) steps(n *yaml.Node, known *names) []*step {
	var all []*step
	for _, item := range r.items(n, "steps") {
		if s := r.step(item, known); s != nil {
			all = append(all, s)
		}
	}
	return all
}

// step reads one step, nil if nothing says what it does.
func (r *reader) step(n *yaml.Node, known *names) *step {
	before := len(r.list)
	f := r.fields(n, "step", append(verbNames(), "times", "as", "expect", "expect_last", "exact")...)
	s := &step{line: n.Line}
	var v *verb
	for i := range verbs {
		switch {
		case f[verbs[i].name] == nil:
		case v != nil:
			r.fail(n, "a step does one thing: make %s and %s two steps", v.name, verbs[i].name)
		default:
			v = &verbs[i]
		}
	}
	if v == nil {
		if len(r.list) == before {
			r.fail(n, "step does nothing: give one of %s", list(verbNames()))
		}
		return nil
	}
	s.verb = v.name
	s.times = r.times(r.allowed(f, "times", v.times, s.verb))
	s.action = r.action(s, f[s.verb], known)
	if as := r.allowed(f, "as", v.as, s.verb); as != nil {
		s.as = r.newName(as, &known.takes)
	}
	exact := r.boolean(r.allowed(f, "exact", slices.Contains(v.expects, "exact"), s.verb), "exact")
	s.expect = r.expectation(r.allowed(f, "expect", v.expects != nil, s.verb), "expect", v, exact)
	s.last = r.expectation(r.allowed(f, "expect_last", v.expects != nil, s.verb), "expect_last", v, exact)
	return s
}

// allowed returns the value of a key that only some steps have.
func (r *reader) allowed(f map[string]*yaml.Node, key string, ok bool, verb string) *yaml.Node {
	if f[key] != nil && !ok {
		r.fail(f[key], "%s has no %s", verb, key)
		return nil
	}
	return f[key]
}

// action reads what a step does.
func (r *reader) action(s *step, n *yaml.Node, known *names) action {
	switch s.verb {
	case "count":
		return r.count(n)
	case "advance":
		return advance(r.duration(n, s.verb))
	case "at":
		return at(r.time(n, s.verb))
	case "release", "renew":
		return r.held(n, s.verb, known)
	case "settle":
		return r.settle(n, known)
	case "policy":
		return swap{r.policy(n)}
	case "table":
		return r.tables(n, "table")
	case "load_error":
		return r.loadError(n)
	case "connection":
		return r.connect(n, known)
	case "allow":
		return r.allow(n, s, known)
	case "repeat":
		f := r.fields(n, "repeat", "times", "steps")
		r.need(n, "repeat", f, "times", "steps")
		return &repeat{r.times(f["times"]), r.steps(f["steps"], known)}
	}
	return r.call(n, s.verb)
}

// newName reads a name that later steps may use.
func (r *reader) newName(n *yaml.Node, known *[]string) string {
	name := r.text(n, "as")
	if name == lastName || name == allNames {
		r.fail(n, "as cannot be %q, which has a meaning of its own", name)
	}
	*known = append(*known, name)
	return name
}

// oldName reads a name that an earlier step has given.
func (r *reader) oldName(n *yaml.Node, what string, known []string, also ...string) string {
	name := r.text(n, what)
	if n != nil && name != "" && !slices.Contains(known, name) && !slices.Contains(also, name) {
		r.fail(n, "%s is %q, which no step before has named with as%s", what, name, suggest(name, slices.Concat(also, known)))
	}
	return name
}

// path is where a file is that the script names relative to itself.
func (r *reader) path(n *yaml.Node, what string) string {
	name := r.text(n, what)
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(r.file), name)
}

// policy loads a policy that the script names.
func (r *reader) policy(n *yaml.Node) *policy.Policy {
	file := r.path(n, "policy")
	if file == "" {
		return nil
	}
	if p, ok := r.loaded[file]; ok {
		return p
	}
	p, err := load(file, r.opt)
	if err != nil {
		r.fail(n, "policy does not load:\n%v", err)
	}
	r.loaded[file] = p
	return p
}

// load reads a policy; nil with an error.
func load(file string, opt Options) (*policy.Policy, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return policy.Parse(file, text, policy.Options{Env: opt.Env})
}
