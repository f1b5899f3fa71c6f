// dialect.go is what a file in Envoy's dialect decides: the YAML of envoyproxy/ratelimit,
// a tree of keys and values with limits on some of its nodes.

package policy

import (
	"maps"
	"slices"
)

// A Domain is a file, or several merged ones, in Envoy's dialect. It is immutable.
type Domain struct {
	name  string
	top   level
	nodes []*dialectNode // of the top level, in the file's order
}

// Name returns the domain's name.
func (d *Domain) Name() string { return d.name }

// An Entry is one part of a descriptor.
type Entry struct{ Key, Value string }

// A level is the nodes below one node, by what they match.
type level struct {
	exact map[Entry]*dialectNode    // with a value
	wild  map[string][]*dialectNode // with * in the value, by key, in the file's order
	any   map[string]*dialectNode   // without a value, by key
}

// A dialectNode is one descriptor of a file.
type dialectNode struct {
	key, value string
	pattern    *valueGlob // of a value with *, else nil
	share      bool       // the pattern is counted instead of the value
	reveal     bool       // metrics may have the value of the request
	up         *dialectNode
	depth      int // 0 for the top level
	rule       *Rule
	below      level
	nodes      []*dialectNode // below, in the file's order

	file         string // where it comes from
	line, column int
}

// A Rule is a limit in Envoy's dialect. It is read only.
type Rule struct {
	// Name is how replaces names it; empty for none.
	Name string
	// Requests is how many there may be in one Unit. With Unlimited there is no limit and
	// no unit.
	Requests  uint32
	Unit      Unit
	Unlimited bool
	// Shadow counts and never denies. Quota denies only together with all other Quota rules
	// of a call.
	Shadow, Quota bool
	// Replaces names rules that do not count where this one is met.
	Replaces []string
	// Metadata is for the answer, in JSON's types; nil for none.
	Metadata map[string]any

	detailed bool // metrics have the values of the request
	node     *dialectNode
}

// A Unit is the length of a window in Envoy's dialect, with the numbers that the
// protocol gives its units. The zero value is no unit.
type Unit uint8

// The units of Envoy's protocol.
const (
	UnitUnknown Unit = iota
	UnitSecond
	UnitMinute
	UnitHour
	UnitDay
	UnitMonth // 30 days
	UnitYear  // 365 days
	UnitWeek
)

var unitSeconds = [...]int64{0, 1, 60, 3600, 86400, 2592000, 31536000, 604800}

// Seconds returns how long the unit is; 0 for one that does not exist.
func (u Unit) Seconds() int64 {
	if int(u) < len(unitSeconds) {
		return unitSeconds[u]
	}
	return 0
}

// Units lists the units, the longest first.
func Units() []Unit {
	return []Unit{UnitYear, UnitMonth, UnitWeek, UnitDay, UnitHour, UnitMinute, UnitSecond}
}

// Match returns the rule that a descriptor meets, nil if there is none: that of the node
// of its last entry. On each level the exact value goes before patterns, and those before
// the key alone; what was chosen is not tried again.
func (d *Domain) Match(entries []Entry) *Rule {
	var n *dialectNode
	at := &d.top
	for i := range entries {
		if n = at.find(&entries[i]); n == nil {
			return nil
		}
		at = &n.below
	}
	if n == nil {
		return nil
	}
	return n.rule
}

func (l *level) find(e *Entry) *dialectNode {
	if n := l.exact[*e]; n != nil {
		return n
	}
	for _, n := range l.wild[e.Key] {
		if n.pattern.match(e.Value) {
			return n
		}
	}
	return l.any[e.Key]
}

// at returns the node of the rule's path at a depth.
func (r *Rule) at(depth int) *dialectNode {
	n := r.node
	for n.depth > depth {
		n = n.up
	}
	return n
}

// Shared returns the pattern that is counted in place of the value of the i-th entry of a
// descriptor that the rule matched; ok is false where the value counts itself.
func (r *Rule) Shared(i int) (pattern string, ok bool) {
	if n := r.at(i); n.share {
		return n.value, true
	}
	return "", false
}

// Labels returns what metrics call the first two levels of a descriptor that the rule
// matched: KEY or KEY_VALUE as in the file, and with the value of the request where the file
// says so. The second is empty if there is one level.
func (r *Rule) Labels(entries []Entry) (key1, key2 string) {
	key1 = r.label(0, &entries[0])
	if len(entries) > 1 {
		key2 = r.label(1, &entries[1])
	}
	return key1, key2
}

// maxLabel is the longest value of a caller that becomes a label, in bytes; the digest stands
// for a longer one.
const maxLabel = 512

func (r *Rule) label(i int, e *Entry) string {
	n := r.at(i)
	value := n.value
	if !n.share && (r.detailed || n.reveal) {
		value = e.Value
	}
	if value == "" {
		return n.key
	}
	if len(value) > maxLabel {
		value = digest(value)
	}
	return n.key + "_" + value
}

// Replaced says of the rules that one call has met, nil where a descriptor met none, which
// are taken out of it: those that another one names in Replaces. One that limits nothing
// stays, as it has nothing to take out.
func Replaced(rules []*Rule) []bool {
	out := make([]bool, len(rules))
	for _, by := range rules {
		if by == nil || len(by.Replaces) == 0 {
			continue
		}
		for i, r := range rules {
			out[i] = out[i] || r != nil && !r.Unlimited && r.Name != "" && slices.Contains(by.Replaces, r.Name)
		}
	}
	return out
}

// MergeMetadata returns into with what from adds: maps are merged, of other values the
// first one stays. It changes neither of them.
func MergeMetadata(into, from map[string]any) map[string]any {
	if len(into) == 0 {
		return from
	}
	out := maps.Clone(into)
	for key, value := range from {
		had, ok := out[key]
		old, isMap := had.(map[string]any)
		more, both := value.(map[string]any)
		switch {
		case !ok:
			out[key] = value
		case isMap && both:
			out[key] = MergeMetadata(old, more)
		}
	}
	return out
}
