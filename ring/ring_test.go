package ring_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/ring"
)

// members makes n members named n1, n2 and so on.
func members(n int) []ring.Member {
	all := make([]ring.Member, n)
	for i := range all {
		all[i] = ring.Member{Name: fmt.Sprintf("n%d", i+1), Boot: uint64(i + 1), Addr: fmt.Sprintf("10.0.0.%d:7755", i+1)}
	}
	return all
}

// named makes members of names.
func named(names ...string) []ring.Member {
	all := make([]ring.Member, len(names))
	for i, name := range names {
		all[i] = ring.Member{Name: name}
	}
	return all
}

// build makes a ring with a Builder of its own.
func build(t testing.TB, seed uint64, self string, ms []ring.Member) *ring.Ring {
	t.Helper()
	r, err := ring.NewBuilder(ring.Placer{Seed: seed}, self).Build(ms)
	if err != nil {
		t.Fatalf("Build(%v) = %v, want a ring", ms, err)
	}
	return r
}

// owners lists the name of each partition's owner, "" for none.
func owners(r *ring.Ring) []string { return names(r.Owner) }

// successors lists the name of each partition's successor, "" for none.
func successors(r *ring.Ring) []string { return names(r.Successor) }

func names(of func(uint32) (ring.Member, bool)) []string {
	table := make([]string, ring.Partitions)
	for p := range table {
		if m, ok := of(uint32(p)); ok {
			table[p] = m.Name
		}
	}
	return table
}

func TestRingWithoutMembersOwnsNothing(t *testing.T) {
	b := ring.NewBuilder(ring.Placer{}, "n1")
	fresh, err := b.Build(nil)
	if err != nil {
		t.Fatalf("Build(nil) = %v, want an empty ring", err)
	}
	if _, err := b.Build(members(3)); err != nil {
		t.Fatal(err)
	}
	emptied, err := b.Build(nil)
	if err != nil {
		t.Fatalf("Build(nil) after 3 members = %v, want an empty ring", err)
	}
	for name, r := range map[string]*ring.Ring{"fresh": fresh, "emptied": emptied} {
		for p := range uint32(ring.Partitions) {
			m, owned := r.Owner(p)
			_, succeeded := r.Successor(p)
			if owned || succeeded || r.OwnedBySelf(p) || m != (ring.Member{}) {
				t.Fatalf("%s ring without members: partition %d has an owner (%v) or a successor, want none", name, p, m)
			}
		}
		if got := len(r.Owned()); got != 0 {
			t.Errorf("%s ring without members: Owned has %d entries, want 0", name, got)
		}
	}
	if got := emptied.Moved(build(t, 0, "n1", members(3))); got != ring.Partitions {
		t.Errorf("Moved from 3 members to none = %d, want %d", got, ring.Partitions)
	}
}

func TestRingAloneOwnsAllWithoutSuccessor(t *testing.T) {
	r := build(t, 0, "n1", members(1))
	for p := range uint32(ring.Partitions) {
		m, ok := r.Owner(p)
		if _, succeeded := r.Successor(p); !ok || m != members(1)[0] || !r.OwnedBySelf(p) || succeeded {
			t.Fatalf("alone: Owner(%d) = %v, %v with a successor: %v; want n1 and none", p, m, ok, succeeded)
		}
	}
}

func TestRingOfAStrangerHasNoSuccessors(t *testing.T) {
	// A client builds rings too and is not a member.
	for _, self := range []string{"", "client"} {
		r := build(t, 0, self, members(3))
		if diff := cmp.Diff(owners(build(t, 0, "n1", members(3))), owners(r)); diff != "" {
			t.Errorf("owners as %q see them differ from those of n1:\n%s", self, diff)
		}
		for p := range uint32(ring.Partitions) {
			if m, ok := r.Successor(p); ok || r.OwnedBySelf(p) {
				t.Fatalf("self %q: Successor(%d) = %v, OwnedBySelf = %v; want none", self, p, m, r.OwnedBySelf(p))
			}
		}
	}
}

func TestSuccessorIsTheOwnerWithoutSelf(t *testing.T) {
	for _, n := range []int{2, 3, 5, 10} {
		all := members(n)
		without := owners(build(t, 7, "", all[1:]))
		r := build(t, 7, "n1", all)
		got := successors(r)
		for p, owner := range owners(r) {
			want := ""
			if owner == "n1" {
				want = without[p]
			}
			if got[p] != want {
				t.Fatalf("%d members: Successor(%d) of %s = %q, want %q", n, p, owner, got[p], want)
			}
			if mine := r.OwnedBySelf(uint32(p)); mine != (owner == "n1") {
				t.Fatalf("%d members: OwnedBySelf(%d) = %v, want %v", n, p, mine, !mine)
			}
		}
	}
}

func TestBuildRefusesDuplicates(t *testing.T) {
	b := ring.NewBuilder(ring.Placer{}, "n1")
	before, err := b.Build(members(3))
	if err != nil {
		t.Fatal(err)
	}
	twice := append(members(3), ring.Member{Name: "n2", Boot: 99})
	r, err := b.Build(twice)
	if r != nil || err == nil || err.Error() != `ring: two members are named "n2"` {
		t.Fatalf("Build with n2 twice = %v, %v; want no ring and an error that names n2", r, err)
	}
	after, err := b.Build(members(3))
	if err != nil || after.Moved(before) != 0 || after.Version != before.Version+1 {
		t.Errorf("Build after a refusal = version %d, %v; want version %d with the same owners", after.Version, err, before.Version+1)
	}
}

func TestBuildLeavesItsArgumentAlone(t *testing.T) {
	ms := named("c", "a", "b")
	r := build(t, 0, "a", ms)
	if diff := cmp.Diff(named("c", "a", "b"), ms); diff != "" {
		t.Errorf("Build changed its argument:\n%s", diff)
	}
	ms[0].Name = "changed" // the caller may use its slice again
	if diff := cmp.Diff(named("a", "b", "c"), r.Members); diff != "" {
		t.Errorf("Members (-want +got):\n%s", diff)
	}
}

func TestNamesThatBeginAlikeStayApart(t *testing.T) {
	// Replica 11 of node-1 and replica 1 of node-11 must not be one point.
	var all []string
	for i := range 12 {
		all = append(all, fmt.Sprintf("node-%d", i), fmt.Sprintf("%d:node-1", i))
	}
	r := build(t, 0, "node-1", named(all...))
	for i, owned := range r.Owned() {
		if owned == 0 {
			t.Errorf("%s owns nothing, want a share", r.Members[i].Name)
		}
	}
	for _, gone := range []string{"node-1", "node-11", "1:node-1"} {
		rest := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == gone })
		b := ring.NewBuilder(ring.Placer{}, "")
		if _, err := b.Build(named(all...)); err != nil {
			t.Fatal(err)
		}
		got, err := b.Build(named(rest...))
		if err != nil {
			t.Fatal(err)
		}
		if moved := got.Moved(build(t, 0, "", named(rest...))); moved != 0 {
			t.Errorf("%d partitions differ from a fresh ring after %s left, want 0", moved, gone)
		}
	}
}

func TestFingerprint(t *testing.T) {
	base := build(t, 0, "n1", members(3)).Fingerprint
	change := func(f func([]ring.Member) []ring.Member) uint64 { return build(t, 0, "n2", f(members(3))).Fingerprint }
	tests := []struct {
		name string
		got  uint64
		same bool
	}{
		{"self", change(func(ms []ring.Member) []ring.Member { return ms }), true},
		{"order", change(func(ms []ring.Member) []ring.Member { slices.Reverse(ms); return ms }), true},
		{"address", change(func(ms []ring.Member) []ring.Member { ms[1].Addr = "[::1]:1"; return ms }), true},
		{"boot", change(func(ms []ring.Member) []ring.Member { ms[1].Boot++; return ms }), false},
		{"two boots changed round", change(func(ms []ring.Member) []ring.Member {
			ms[0].Boot, ms[1].Boot = ms[1].Boot, ms[0].Boot
			return ms
		}), false},
		{"name", change(func(ms []ring.Member) []ring.Member { ms[1].Name = "n9"; return ms }), false},
		{"one less", change(func(ms []ring.Member) []ring.Member { return ms[:2] }), false},
		{"none", change(func(ms []ring.Member) []ring.Member { return nil }), false},
	}
	for _, tt := range tests {
		if same := tt.got == base; same != tt.same {
			t.Errorf("Fingerprint after a change of %s is the same: %v, want %v", tt.name, same, tt.same)
		}
	}
}

func TestFingerprintDiffersWhereSeedsMakeOtherTables(t *testing.T) {
	// Equal fingerprints promise equal tables. A node with another secret makes
	// another table and must not look as if it agreed.
	a, b := build(t, 1, "n1", members(3)), build(t, 2, "n1", members(3))
	if moved := b.Moved(a); moved == 0 {
		t.Fatalf("Moved between seeds = 0, want other tables")
	}
	if a.Fingerprint == b.Fingerprint {
		t.Errorf("Fingerprint under seeds 1 and 2 = %x both, want two: their tables differ", a.Fingerprint)
	}
}

func TestVersionCountsAndMovedCompares(t *testing.T) {
	b := ring.NewBuilder(ring.Placer{}, "n1")
	var last *ring.Ring
	for i, n := range []int{3, 3, 4, 3} {
		r, err := b.Build(members(n))
		if err != nil {
			t.Fatal(err)
		}
		if r.Version != uint64(i+1) {
			t.Errorf("Version of ring %d = %d, want %d", i, r.Version, i+1)
		}
		if last != nil && (r.Moved(last) == 0) != (len(r.Members) == len(last.Members)) {
			t.Errorf("Moved from %d to %d members = %d", len(last.Members), len(r.Members), r.Moved(last))
		}
		last = r
	}
}

func TestOwnedCountsEveryPartition(t *testing.T) {
	r := build(t, 0, "n1", members(5))
	want := make([]int, 5)
	for _, owner := range owners(r) {
		want[strings.Index("12345", owner[1:])]++
	}
	if diff := cmp.Diff(want, r.Owned()); diff != "" {
		t.Errorf("Owned (-want +got):\n%s", diff)
	}
}

func TestLookupsDoNotAllocate(t *testing.T) {
	r, placer := build(t, 0, "n1", members(5)), ring.Placer{Seed: 3}
	long := strings.Repeat("k", 500)
	for name, f := range map[string]func(){
		"Owner":     func() { r.Owner(7) },
		"Successor": func() { r.Successor(7) },
		"Key":       func() { placer.Key("namespace", "account:1") },
		"long Key":  func() { placer.Key(long, long) },
	} {
		if got := testing.AllocsPerRun(100, f); got != 0 {
			t.Errorf("%s allocates %v times, want 0", name, got)
		}
	}
}
