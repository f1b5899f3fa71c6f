// overrides.go finds the override of a limit for one caller among thousands.

package policy

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"
)

// An override gives callers that match another value for one limit.
type override struct {
	exact []pair
	globs []globPair
	until time.Time // zero: for ever
	value value
	rank  int // among all of the limit; the lowest that matches wins
}

type pair struct {
	slot  int
	value string
}

type globPair struct {
	slot int
	glob valueGlob
}

// overrides are those of one limit, found by the values that they name exactly.
// The zero value has none.
type overrides struct{ shapes []shape }

// A shape is all overrides that name the same attributes exactly.
type shape struct {
	slots  uint64
	byKey  map[string][]*override // best first
	single int                    // the one slot, or -1: then keys are joined
}

// newOverrides ranks overrides given in file order: more exact attributes, then
// more literal characters in globs, then the later entry.
func newOverrides(list []override) overrides {
	ranked := make([]*override, len(list))
	for i := range list {
		ranked[len(list)-1-i] = &list[i] // the later entry first
	}
	slices.SortStableFunc(ranked, func(a, b *override) int {
		if d := len(b.exact) - len(a.exact); d != 0 {
			return d
		}
		return b.literals() - a.literals()
	})
	var all overrides
	for rank, o := range ranked {
		o.rank = rank
		slices.SortFunc(o.exact, func(a, b pair) int { return a.slot - b.slot })
		s := all.shape(o)
		key := string(o.key(nil))
		s.byKey[key] = append(s.byKey[key], o)
	}
	return all
}

func (o *override) literals() (n int) {
	for i := range o.globs {
		n += o.globs[i].glob.literals
	}
	return n
}

// key is what the shape's map knows the override by.
func (o *override) key(b []byte) []byte {
	if len(o.exact) == 1 {
		return append(b, o.exact[0].value...)
	}
	for _, p := range o.exact {
		b = appendPart(b, p.value)
	}
	return b
}

// appendPart appends a value so that joined values cannot be mistaken.
func appendPart(b []byte, value string) []byte {
	b = binary.AppendUvarint(b, uint64(len(value))+1)
	return append(b, value...)
}

// shape returns the shape of an override, made if there is none yet.
func (all *overrides) shape(o *override) *shape {
	slots, single := uint64(0), -1
	for _, p := range o.exact {
		slots |= 1 << p.slot
		single = p.slot
	}
	if len(o.exact) != 1 {
		single = -1
	}
	for i := range all.shapes {
		if all.shapes[i].slots == slots {
			return &all.shapes[i]
		}
	}
	all.shapes = append(all.shapes, shape{slots, map[string][]*override{}, single})
	return &all.shapes[len(all.shapes)-1]
}

// find returns the best override for a caller at a time, nil if there is none.
func (all *overrides) find(a *attributes, now time.Time) *value {
	var best *override
	for i := range all.shapes {
		s := &all.shapes[i]
		if a.present&s.slots != s.slots {
			continue
		}
		for _, o := range s.of(a) {
			if (best == nil || o.rank < best.rank) && o.matches(a, now) {
				best = o
				break
			}
		}
	}
	if best == nil {
		return nil
	}
	return &best.value
}

// of returns the overrides whose exact attributes the caller has.
func (s *shape) of(a *attributes) []*override {
	if s.single >= 0 {
		return s.byKey[a.values[s.single]]
	}
	var room [256]byte
	key := room[:0]
	for slots := s.slots; slots != 0; slots &= slots - 1 {
		key = appendPart(key, a.values[bits.TrailingZeros64(slots)])
	}
	return s.byKey[string(key)]
}

// matches reports whether the override holds for a caller that has its exact
// attributes.
func (o *override) matches(a *attributes, now time.Time) bool {
	if !o.until.IsZero() && !now.Before(o.until) {
		return false
	}
	for i := range o.globs {
		g := &o.globs[i]
		if !a.has(g.slot) || !g.glob.match(a.values[g.slot]) {
			return false
		}
	}
	return true
}
