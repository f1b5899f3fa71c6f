// reload.go has the steps that change what the node goes by: policies and tables.

package policytest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring/policy"
)

// A swap puts another policy in place.
type swap struct{ policy *policy.Policy }

func (s swap) do(r *run, _ *step) *outcome {
	r.swap(s.policy)
	return nil
}

// tables are rows of lookup tables.
type tables struct {
	rows map[string]map[string]map[string]string // by table and key
}

func (r *reader) tables(n *yaml.Node, what string) *tables {
	if n == nil {
		return nil
	}
	t := &tables{map[string]map[string]map[string]string{}}
	for table, rows := range r.entries(n, what) {
		all := map[string]map[string]string{}
		t.rows[table.Value] = all
		for key, row := range r.entries(rows, "table "+table.Value) {
			var fields map[string]string
			if row.Tag != "!!null" {
				fields = r.strings(row, "row "+key.Value+" of table "+table.Value)
			}
			all[key.Value] = fields
			// A bearer token is looked up by its digest; scripts have it in clear.
			digest := sha256.Sum256([]byte(key.Value))
			all[hex.EncodeToString(digest[:])] = fields
		}
	}
	return t
}

func (t *tables) do(r *run, _ *step) *outcome {
	set := r.node.Policies()
	for table, rows := range t.rows {
		set = set.WithRows(r.policy.Namespace(), table, rows, false)
	}
	r.node.SetPolicies(set)
	return nil
}

// A loadError expects that a policy does not load.
type loadError struct {
	file     string
	errors   int // how many problems it has; -1 for any
	contains []string
}

func (r *reader) loadError(n *yaml.Node) *loadError {
	f := r.fields(n, "load_error", "policy", "errors", "contains")
	r.need(n, "load_error", f, "policy")
	l := &loadError{file: r.path(f["policy"], "policy"), errors: -1, contains: r.texts(f["contains"], "contains")}
	if f["errors"] != nil {
		l.errors = int(r.number(f["errors"], "errors", 1, 1_000_000))
	}
	return l
}

func (l *loadError) do(r *run, s *step) *outcome {
	_, err := load(l.file, r.opt)
	var all policy.Errors
	if !errors.As(err, &all) {
		if err == nil {
			err = errors.New("it loads")
		}
		r.fail(s, "load_error: %s should have problems: %v", l.file, err)
		return nil
	}
	var d diff
	if l.errors >= 0 && l.errors != len(all) {
		d.differ(plural(l.errors, "problem"), plural(len(all), "problem"))
	}
	text := all.Error()
	for _, part := range l.contains {
		if !strings.Contains(text, part) {
			d.differ("a problem with "+quote(part), "none of them has it")
		}
	}
	if len(d) > 0 {
		r.fail(s, "load_error of %s (- want, + got)\n%s\n%s", l.file, strings.Join(d, "\n"), text)
	}
	return nil
}
