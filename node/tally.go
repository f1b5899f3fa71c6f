// tally.go counts what policies want to know of their calls.

package node

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// PolicyStats are counts of calls with policies.
type PolicyStats struct {
	Shadowed  []LimitCount // calls that a limit in shadow would have denied
	Unplanned []LimitCount // calls denied because the caller's plan has no number
	Labelled  []LabelCount // decisions by the labels that policies name
}

// A LimitCount is a count for one limit of a policy.
type LimitCount struct {
	Namespace, Limit string
	Count            int64
}

// A LabelCount is a count for one set of label values.
type LabelCount struct {
	Namespace, Limit string
	Allowed          bool
	Names, Values    []string
	Count            int64
}

// maxLabelValues bounds the values of one label, maxLabelSets the sets of values of
// all; further ones count as otherLabel.
const (
	maxLabelValues = 1000
	maxLabelSets   = 10_000
	otherLabel     = "_other"
)

// A tally counts. The zero value is empty; it is safe for concurrent use.
type tally struct {
	shadowed, unplanned sync.Map // limitName -> *atomic.Int64
	labelled            sync.Map // labelKey -> *labelCount
	sets                atomic.Int64

	reports reports // of unplanned, for the log

	mu     sync.Mutex
	values map[labelName]map[string]bool // seen so far; guarded by mu
}

type limitName struct{ namespace, limit string }

type labelName struct{ namespace, label string }

type labelKey struct {
	limitName
	allowed bool
	values  string // joined by a byte that no UTF-8 text has
}

type labelCount struct {
	names, values []string
	count         atomic.Int64
}

// note counts one call, at a time of the monotonic clock.
func (t *tally) note(now int64, namespace string, labels []string, c *policy.Call, d *bucketring.Decision) {
	c.Shadowed(func(limit string) { count(&t.shadowed, limitName{namespace, limit}) })
	if !d.Allowed {
		c.Unplanned(func(limit, key string) {
			name := limitName{namespace, limit}
			count(&t.unplanned, name)
			t.reports.note(name, key, now)
		})
	}
	if len(labels) == 0 {
		return
	}
	values := c.LabelValues()
	for i, name := range labels {
		values[i] = t.folded(labelName{namespace, name}, values[i])
	}
	key := labelKey{limitName{namespace, d.Name}, d.Allowed, strings.Join(values, "\xff")}
	known, ok := t.labelled.Load(key)
	if !ok && t.sets.Add(1) > maxLabelSets {
		for i := range values {
			values[i] = otherLabel
		}
		key.values = strings.Join(values, "\xff")
		known, ok = t.labelled.Load(key)
	}
	if !ok {
		known, _ = t.labelled.LoadOrStore(key, &labelCount{names: labels, values: values})
	}
	known.(*labelCount).count.Add(1)
}

func count(m *sync.Map, key limitName) {
	n, ok := m.Load(key)
	if !ok {
		n, _ = m.LoadOrStore(key, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

// folded returns the value, or otherLabel if the label has too many.
func (t *tally) folded(name labelName, value string) string {
	value = strings.ToValidUTF8(value, "\ufffd")
	t.mu.Lock()
	defer t.mu.Unlock()
	seen := t.values[name]
	switch {
	case seen[value]:
		return value
	case len(seen) >= maxLabelValues:
		return otherLabel
	case t.values == nil:
		t.values = map[labelName]map[string]bool{}
	}
	if seen == nil {
		seen = map[string]bool{}
		t.values[name] = seen
	}
	seen[value] = true
	return value
}

func (t *tally) stats() PolicyStats {
	s := PolicyStats{Shadowed: counted(&t.shadowed), Unplanned: counted(&t.unplanned)}
	t.labelled.Range(func(k, v any) bool {
		key, n := k.(labelKey), v.(*labelCount)
		s.Labelled = append(s.Labelled, LabelCount{key.namespace, key.limit, key.allowed, n.names, n.values, n.count.Load()})
		return true
	})
	return s
}

func counted(m *sync.Map) (all []LimitCount) {
	m.Range(func(k, v any) bool {
		key := k.(limitName)
		all = append(all, LimitCount{key.namespace, key.limit, v.(*atomic.Int64).Load()})
		return true
	})
	return all
}
