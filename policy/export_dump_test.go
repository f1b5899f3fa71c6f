// export_dump_test.go shows tests what a policy was compiled to.

package policy

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
)

// Dump writes a policy's parts as lines.
func (p *Policy) Dump() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	if p.domain != nil {
		return p.domain.dump(p.notes)
	}
	line("namespace %s each=%v shard=%v labels=%v fields=%+v", p.namespace, p.each, p.named(p.shard), p.labels, p.fields)
	for _, one := range p.identify {
		for _, s := range one.sources {
			line("identify %s: kind=%d name=%q scheme=%q sha256=%v path=%v trusted=%v v4=%d v6=%d table=%q by=%s field=%q",
				p.names[one.slot], s.kind, s.name, s.scheme, s.sha256, s.path.segments, s.trusted, s.v4, s.v6, s.table, p.names[s.by], s.field)
		}
	}
	for _, a := range p.access {
		line("access %s when=%s deny=%s", a.name, p.conditions(&a.when), denial(&a.deny))
	}
	for i := range p.limits {
		l := &p.limits[i]
		line("limit %s kind=%v key=%v unit=%s scope=%d mode=%d shown=%v placed=%v burst=%v", l.name, l.kind, p.named(l.key), l.unit, l.scope, l.mode, l.shown, l.placed, l.burst)
		line("  precision=%d per=%v align=%v zone=%v when=%s deny=%s", l.precision, l.per, l.align, l.zone, p.conditions(&l.when), denial(&l.deny))
		slot := "-"
		if l.cost.slot >= 0 {
			slot = p.names[l.cost.slot]
		}
		line("  cost from=%d slot=%s otherwise=%d", l.cost.from, slot, l.cost.otherwise)
		plans := make([]string, 0, len(l.byPlan))
		for plan := range l.byPlan {
			plans = append(plans, plan)
		}
		slices.Sort(plans)
		for _, plan := range plans {
			line("  plan %s: %s", plan, amount(l.byPlan[plan]))
		}
		line("  otherwise: %s", amount(&l.otherwise))
		var overrides []string
		for _, s := range l.overrides.shapes {
			for _, list := range s.byKey {
				for _, o := range list {
					overrides = append(overrides, fmt.Sprintf("  override exact=%v globs=%+v until=%s: %s\n", o.exact, o.globs, o.until.Format(time.RFC3339), amount(&o.value)))
				}
			}
		}
		slices.Sort(overrides)
		b.WriteString(strings.Join(overrides, ""))
	}
	if u := p.usage; u != nil {
		line("usage %s %s key=%v limits=%v", u.method, u.path, p.named(u.key), u.limits)
	}
	return b.String()
}

func (p *Policy) named(slots []int) (names []string) {
	for _, slot := range slots {
		names = append(names, p.names[slot])
	}
	return names
}

func (p *Policy) conditions(w *when) string {
	var paths, tests []string
	for _, g := range w.paths {
		paths = append(paths, g.text)
	}
	for _, t := range w.tests {
		tests = append(tests, fmt.Sprintf("%s:%d%q", p.names[t.slot], t.op, t.values))
	}
	return fmt.Sprint(w.methods, paths, w.plans, tests)
}

func denial(d *deny) string {
	body := "problem"
	if d.body != nil {
		body = rendered(d.body)
	}
	return fmt.Sprintf("{%d %s retry=%v full=%v close=%d %q}", d.status, body, d.retryHeader, d.full, d.closeCode, d.closeReason)
}

func rendered(t *template) string {
	return string(t.render(nil, func(b []byte, p *piece) []byte { return append(append(append(b, '<'), p.name...), '>') }))
}

func amount(v *value) string {
	if v.limit == nil {
		return fmt.Sprintf("%d, no counter", v.kind)
	}
	l := *v.limit
	l.ID, l.Name = 0, ""
	if l.Kind == bucketring.KindConcurrency {
		return fmt.Sprintf("%d, %v max=%v", v.kind, l, l.MaxAge)
	}
	return fmt.Sprintf("%d, %v", v.kind, l)
}

// IDs lists the ids of a policy's limits, and whether all amounts of a limit have
// the same.
func (p *Policy) IDs() (ids []uint64, same bool) {
	same = true
	for i := range p.limits {
		var id uint64
		check := func(v *value) {
			if v.limit != nil {
				same = same && (id == 0 || v.limit.ID == id)
				id = v.limit.ID
			}
		}
		check(&p.limits[i].otherwise)
		for _, v := range p.limits[i].byPlan {
			check(v)
		}
		ids = append(ids, id)
	}
	return ids, same
}

// Body renders the body that a limit's refusal has, its variables as their names.
func (p *Policy) Body(limit string) string {
	for i := range p.limits {
		if l := &p.limits[i]; l.name == limit && l.deny.body != nil {
			return rendered(l.deny.body)
		}
	}
	return ""
}

// Scaled reads an amount.
func Scaled(text string, precision uint8) (int64, string) {
	if wrong := checkAmount(text); wrong != "" {
		return 0, wrong
	}
	return parseAmount(text, precision)
}

// WatchEvery is Watch that reads the files in such a distance of time, and is told
// nothing by the system.
func WatchEvery(ctx context.Context, every time.Duration, path string, known *Set, changed func(*Set, error)) error {
	w := watcher{path: path, opt: Options{Known: known}, changed: changed, quiet: quietFor, most: mostFor, poll: every, blind: true}
	return w.run(ctx, nil)
}

// DocumentKeys lists the keys of the types that a policy file is made of.
func DocumentKeys() (keys []string) {
	seen := map[reflect.Type]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if value, ok := t.FieldByName("Value"); ok && strings.HasPrefix(t.Name(), "entry[") {
			walk(value.Type)
			return
		}
		if seen[t] {
			return
		}
		seen[t] = true
		for _, f := range fieldsOf(t) {
			if f.key != "" {
				keys = append(keys, t.Name()+"."+f.key)
			}
			walk(t.FieldByIndex(f.index).Type)
		}
	}
	walk(reflect.TypeFor[document]())
	return keys
}
