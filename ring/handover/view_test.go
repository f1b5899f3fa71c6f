package handover

import (
	"maps"
	"slices"
)

// ops are the calls that a state has counted.
type ops [8]uint64

func (o ops) with(i int) ops      { o[i/64] |= 1 << (i % 64); return o }
func (o ops) has(i int) bool      { return o[i/64]>>(i%64)&1 == 1 }
func (o ops) contains(b ops) bool { return o.or(b) == o }
func (o ops) or(b ops) ops        { return o.each(b, func(x, y uint64) uint64 { return x | y }) }
func (o ops) without(b ops) ops   { return o.each(b, func(x, y uint64) uint64 { return x &^ y }) }
func opsOf(s State) ops           { o, _ := s.(ops); return o }
func (o ops) each(b ops, f func(x, y uint64) uint64) ops {
	for i := range o {
		o[i] = f(o[i], b[i])
	}
	return o
}

// A record is what is known of a node. The higher of two wins.
type record struct {
	inc    int // raised by the node itself, to refute a false death
	status int // 0 active, 1 leaving, 2 gone
}

func (r record) above(o record) bool {
	return r.inc > o.inc || r.inc == o.inc && r.status > o.status
}

// A view is a set of records, and what follows from it. It does not change.
type view struct {
	records        map[Node]record
	self           Node
	owner, without [parts]Node
	peers          []Node
}

func newView(self Node, records map[Node]record) *view {
	v := &view{records: records, self: self}
	for _, n := range slices.SortedFunc(maps.Keys(records), compareNodes) {
		if records[n].status < 2 && n != self {
			v.peers = append(v.peers, n)
		}
		if records[n].status != 0 {
			continue
		}
		for p := range uint32(parts) {
			v.owner[p] = heavier(p, v.owner[p], n)
			if n != self {
				v.without[p] = heavier(p, v.without[p], n)
			}
		}
	}
	return v
}

// heavier is rendezvous hashing.
func heavier(p uint32, a, b Node) Node {
	weight := func(n Node) uint64 {
		h := uint64(p + 1)
		for i := range len(n.Name) {
			h = (h ^ uint64(n.Name[i])) * 0x9e3779b97f4a7c15
			h ^= h >> 29
		}
		return h * 0xbf58476d1ce4e5b9
	}
	if a == none || weight(b) > weight(a) {
		return b
	}
	return a
}

func (v *view) Owner(p uint32) Node   { return v.owner[p] }
func (v *view) Without(p uint32) Node { return v.without[p] }
func (v *view) Peers() []Node         { return v.peers }
func (v *view) Leaving(n Node) bool   { return v.records[n].status == 1 }
