package ring

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// A Member is a node as the ring sees it.
type Member struct {
	Name string // stable over restarts, and all that placement depends on
	Boot uint64 // of this start: two starts of one name are two members
	Addr string // host:port where peers reach it
}

// noMember stands in a table where no member exists.
const noMember = ^uint16(0)

// A Ring is one immutable answer to "who owns what".
type Ring struct {
	// Version counts the rings of this node, for people and logs.
	Version uint64
	// Fingerprint is equal on two nodes exactly if their tables are, but for
	// collisions of a 64-bit hash.
	Fingerprint uint64
	// Members are sorted by name.
	Members []Member
	// Leaving are nodes on their way out, sorted: they own nothing, and have what they
	// have not handed over yet.
	Leaving []Member

	owner [Partitions]uint16 // indexes into Members
	succ  [Partitions]uint16 // the owner if self were gone; only where self owns
	self  uint16
}

// Owner returns the member that should decide partition p, which is below
// Partitions. ok is false on a ring without members.
func (r *Ring) Owner(p uint32) (m Member, ok bool) { return r.member(r.owner[p]) }

// Successor returns the member that would own p if this node were gone. It is
// known only for partitions that this node owns and if another member exists.
func (r *Ring) Successor(p uint32) (m Member, ok bool) { return r.member(r.succ[p]) }

// OwnedBySelf reports whether this node should decide partition p.
func (r *Ring) OwnedBySelf(p uint32) bool {
	return r.owner[p] == r.self && r.self != noMember
}

// Find returns the member of a name, one that is leaving too.
func (r *Ring) Find(name string) (m Member, ok bool) {
	for _, all := range [][]Member{r.Members, r.Leaving} {
		if i := slices.IndexFunc(all, func(m Member) bool { return m.Name == name }); i >= 0 {
			return all[i], true
		}
	}
	return Member{}, false
}

func (r *Ring) member(i uint16) (Member, bool) {
	if i == noMember {
		return Member{}, false
	}
	return r.Members[i], true
}

// Owned counts the partitions of each member, in the order of Members.
func (r *Ring) Owned() []int {
	owned := make([]int, len(r.Members))
	for _, i := range r.owner {
		if i != noMember {
			owned[i]++
		}
	}
	return owned
}

// Moved counts the partitions whose owner differs by name between r and old.
func (r *Ring) Moved(old *Ring) int {
	moved := 0
	for p := range uint32(Partitions) {
		was, ok1 := old.Owner(p)
		is, ok2 := r.Owner(p)
		if ok1 != ok2 || was.Name != is.Name {
			moved++
		}
	}
	return moved
}

// A Builder makes rings, each at the cost of what changed since the last one.
type Builder struct {
	placer  Placer
	self    string
	circle  *consistent.Consistent
	version uint64
}

// NewBuilder returns a Builder for the node named self, which need not be a
// member.
func NewBuilder(placer Placer, self string) *Builder {
	return &Builder{placer: placer, self: self}
}

// name makes a member of the library from ours.
type name string

func (n name) String() string { return string(n) }

// Build returns the ring of members, whose names must differ. It fails if the
// library cannot place them, and the Builder then starts afresh.
func (b *Builder) Build(members []Member) (r *Ring, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			b.circle = nil
			r, err = nil, fmt.Errorf("ring: place %d members: %v", len(members), cause)
		}
	}()
	members = slices.Clone(members)
	slices.SortFunc(members, func(x, y Member) int { return strings.Compare(x.Name, y.Name) })
	for i := range members[:max(len(members)-1, 0)] {
		if members[i].Name == members[i+1].Name {
			return nil, fmt.Errorf("ring: two members are named %q", members[i].Name)
		}
	}
	b.arrange(members)
	b.version++
	r = &Ring{Version: b.version, Fingerprint: b.fingerprint(members), Members: members, self: noMember}
	index := make(map[string]uint16, len(members))
	for i, m := range members {
		index[m.Name] = uint16(i)
	}
	if i, ok := index[b.self]; ok {
		r.self = i
	}
	b.read(&r.owner, index)
	b.readSuccessors(r, index)
	return r, nil
}

// arrange makes the circle hold exactly members.
func (b *Builder) arrange(members []Member) {
	if b.circle == nil {
		all := make([]consistent.Member, len(members))
		for i, m := range members {
			all[i] = name(m.Name)
		}
		b.circle = consistent.New(all, consistent.Config{
			Hasher: b.placer, PartitionCount: Partitions, ReplicationFactor: replicas, Load: load,
		})
		return
	}
	wanted := make(map[string]bool, len(members))
	for _, m := range members {
		wanted[m.Name] = true
		b.circle.Add(name(m.Name)) // no effect if it is there
	}
	for _, m := range b.circle.GetMembers() {
		if !wanted[m.String()] {
			b.circle.Remove(m.String())
		}
	}
}

func (b *Builder) read(table *[Partitions]uint16, index map[string]uint16) {
	for p := range table {
		table[p] = noMember
		if m := b.circle.GetPartitionOwner(p); m != nil {
			table[p] = index[m.String()]
		}
	}
}

// readSuccessors looks at the ring without this node: the second nearest member
// of the present ring would be the next owner of only half the partitions.
func (b *Builder) readSuccessors(r *Ring, index map[string]uint16) {
	if r.self == noMember || len(r.Members) == 1 {
		for p := range r.succ {
			r.succ[p] = noMember
		}
		return
	}
	b.circle.Remove(b.self)
	b.read(&r.succ, index)
	b.circle.Add(name(b.self))
	for p := range r.succ {
		if r.owner[p] != r.self {
			r.succ[p] = noMember
		}
	}
}

// fingerprint hashes the settings and the sorted members.
func (b *Builder) fingerprint(members []Member) uint64 {
	text := binary.BigEndian.AppendUint32(nil, b.placer.Settings())
	for _, m := range members {
		text = binary.AppendUvarint(text, uint64(len(m.Name)))
		text = append(text, m.Name...)
		text = binary.BigEndian.AppendUint64(text, m.Boot)
	}
	return xxhash.Sum64(text)
}
