package ring_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring/ring"
)

// memberNames draws names that look alike, in any order.
func memberNames(most int) *rapid.Generator[[]string] {
	return rapid.Custom(func(t *rapid.T) []string {
		all := []string{"a", "b", "node-1", "node-11", "node-2", "0:a", "1:a", "ä", "\xff", "n1"}
		return rapid.Permutation(all).Draw(t, "order")[:rapid.IntRange(0, most).Draw(t, "members")]
	})
}

func TestOrderOfMembersDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		ms := named(memberNames(5).Draw(rt, "names")...)
		seed := rapid.Uint64().Draw(rt, "seed")
		other := rapid.Permutation(ms).Draw(rt, "other order")
		a, b := build(t, seed, "a", ms), build(t, seed, "a", other)
		checkSameRing(rt, b, a)
	})
}

// checkSameRing expects equal members, owners, successors and fingerprints.
func checkSameRing(t interface{ Fatalf(string, ...any) }, got, want *ring.Ring) {
	if !slices.Equal(got.Members, want.Members) {
		t.Fatalf("Members = %v, want %v", got.Members, want.Members)
	}
	for p := range uint32(ring.Partitions) {
		owner, ok := got.Owner(p)
		wantOwner, wantOK := want.Owner(p)
		if owner != wantOwner || ok != wantOK {
			t.Fatalf("Owner(%d) = %v, %v, want %v, %v", p, owner, ok, wantOwner, wantOK)
		}
		succ, ok := got.Successor(p)
		wantSucc, wantOK := want.Successor(p)
		if succ != wantSucc || ok != wantOK {
			t.Fatalf("Successor(%d) = %v, %v, want %v, %v", p, succ, ok, wantSucc, wantOK)
		}
		if got.OwnedBySelf(p) != want.OwnedBySelf(p) {
			t.Fatalf("OwnedBySelf(%d) = %v, want %v", p, got.OwnedBySelf(p), want.OwnedBySelf(p))
		}
	}
	if got.Fingerprint != want.Fingerprint {
		t.Fatalf("Fingerprint = %x, want %x", got.Fingerprint, want.Fingerprint)
	}
}

func TestAnyHistoryLeadsToTheFreshRing(t *testing.T) {
	// Nodes see joins and leaves in different orders and groups. If the ring
	// depended on the path, they would disagree on owners for ever.
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		self := rapid.SampledFrom([]string{"a", "node-1", "stranger"}).Draw(rt, "self")
		b := ring.NewBuilder(ring.Placer{Seed: seed}, self)
		var ms []ring.Member
		var got *ring.Ring
		for boot := range rapid.Uint64Range(1, 4).Draw(rt, "steps") {
			ms = named(memberNames(5).Draw(rt, "names")...)
			for i := range ms {
				ms[i].Boot = boot // every step restarts all nodes
			}
			var err error
			if got, err = b.Build(ms); err != nil {
				rt.Fatalf("Build(%v) = %v, want a ring", ms, err)
			}
		}
		checkSameRing(rt, got, build(t, seed, self, ms))
	})
}

func TestChangesMoveLittle(t *testing.T) {
	// The figures are those of the design, means over 20 clusters of other names.
	tests := []struct {
		from, to       int
		moved, between float64 // shares of all partitions; between members of both rings
	}{
		{3, 4, 0.256, 0.003},
		{3, 5, 0.398, 0.003},
		{5, 4, 0.198, 0.003},
	}
	const clusters = 20
	moved, between := make([]float64, len(tests)), make([]float64, len(tests)) // mean shares
	for c := range clusters {
		rings := map[int]*ring.Ring{}
		for _, n := range []int{3, 4, 5} {
			ms := make([]ring.Member, n)
			for i := range ms {
				ms[i].Name = fmt.Sprintf("cluster-%d-node-%d", c, i)
			}
			rings[n] = build(t, 0, "", ms)
		}
		for i, tt := range tests {
			moved[i] += float64(rings[tt.to].Moved(rings[tt.from])) / (clusters * ring.Partitions)
			between[i] += float64(movedBetween(rings[tt.from], rings[tt.to])) / (clusters * ring.Partitions)
		}
	}
	for i, tt := range tests {
		t.Logf("%d to %d: moved %.1f %%, between members of both %.2f %%", tt.from, tt.to, 100*moved[i], 100*between[i])
		if math.Abs(moved[i]-tt.moved) > 0.015 {
			t.Errorf("%d to %d: share that moved = %.3f, want %.3f +- 0.015", tt.from, tt.to, moved[i], tt.moved)
		}
		if most := tt.between + 0.002; between[i] > most {
			t.Errorf("%d to %d: share that moved between members of both = %.4f, want at most %.4f", tt.from, tt.to, between[i], most)
		}
	}
}

// movedBetween counts the partitions that change hands although both owners
// are in both rings: nobody gains from those.
func movedBetween(old, now *ring.Ring) int {
	count, was, is := 0, owners(old), owners(now)
	for p := range was {
		if was[p] != is[p] && slices.Contains(is, was[p]) && slices.Contains(was, is[p]) {
			count++
		}
	}
	return count
}

func TestNoMemberOwnsTooMuch(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 10, 50, 100, 200} {
		owned := build(t, 0, "", members(n)).Owned()
		// The library rounds its bound up to a whole partition.
		most := int(math.Ceil(float64(ring.Partitions) / float64(n) * 1.10))
		if got := slices.Max(owned); got > most {
			t.Errorf("%d members: the fullest owns %d partitions, want at most %d", n, got, most)
		}
		if got := slices.Min(owned); got == 0 {
			t.Errorf("%d members: one owns nothing, want a share for each", n)
		}
		sum := 0
		for _, o := range owned {
			sum += o
		}
		if sum != ring.Partitions {
			t.Errorf("%d members own %d partitions, want %d", n, sum, ring.Partitions)
		}
	}
}

func TestKeysBalance(t *testing.T) {
	// A figure of the design is for the usual cluster: few keys fall unevenly by
	// chance. So the median of some clusters has to meet it, and each one of them
	// what bounded load and four standard deviations allow.
	tests := []struct {
		members, keys int
		most          float64 // keys of the busiest member, against the mean
	}{
		{3, 60, 1.5},
		{3, 1_000, 1.15},
		{10, 1_000, 1.25},
		{3, 100_000, 1.12},
		{10, 100_000, 1.12},
		{50, 100_000, 1.20},
	}
	for _, tt := range tests {
		clusters := uint64(11)
		if tt.keys > 1_000 {
			clusters = 3 // many keys even out
		}
		var got []float64
		for seed := range clusters {
			r := build(t, seed, "", members(tt.members))
			got = append(got, busiest(r, ring.Placer{Seed: seed}, tt.keys))
		}
		slices.Sort(got)
		median, worst := got[len(got)/2], got[len(got)-1]
		t.Logf("%d keys on %d members: busiest %.3f of the mean, worst of %d clusters %.3f", tt.keys, tt.members, median, len(got), worst)
		if median > tt.most {
			t.Errorf("%d keys on %d members: busiest has %.3f of the mean, want at most %.2f", tt.keys, tt.members, median, tt.most)
		}
		bound := 1.10 + 4*math.Sqrt(1.10*float64(tt.members)/float64(tt.keys))
		if worst > bound {
			t.Errorf("%d keys on %d members: worst busiest has %.3f of the mean, want at most %.2f", tt.keys, tt.members, worst, bound)
		}
	}
}

// The names that people give to their nodes, without a secret: whoever tries
// bucketring for the first time sees one of these.
func TestKeysBalanceOnUsualNames(t *testing.T) {
	for _, format := range []string{"n%d", "node%d", "node-%d", "br-%d", "bucketring-%d"} {
		for _, tt := range []struct {
			members int
			most    float64
		}{{3, 1.15}, {10, 1.25}} {
			all := make([]ring.Member, tt.members)
			for i := range all {
				all[i].Name = fmt.Sprintf(format, i+1)
			}
			got := busiest(build(t, 0, "", all), ring.Placer{}, 1_000)
			if got > tt.most {
				t.Errorf("1,000 keys on %d members named %s: busiest has %.3f of the mean, want at most %.2f", tt.members, format, got, tt.most)
			}
		}
	}
}

// busiest returns max/mean of the keys per member for keys account:0 and on.
func busiest(r *ring.Ring, placer ring.Placer, keys int) float64 {
	count, most := map[string]int{}, 0
	for i := range keys {
		m, _ := r.Owner(ring.Partition(placer.Key("", fmt.Sprintf("account:%d", i))))
		count[m.Name]++
		most = max(most, count[m.Name])
	}
	return float64(most) * float64(len(r.Members)) / float64(keys)
}

func TestManyMembersComeAndGo(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, 0))
	b := ring.NewBuilder(ring.Placer{}, "n1")
	var got *ring.Ring
	var ms []ring.Member
	for _, n := range []int{100, 104, 98} {
		ms = members(n)
		random.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
		ms = ms[1:] // one at random is away
		var err error
		if got, err = b.Build(ms); err != nil {
			t.Fatalf("Build of %d members (seed %d) = %v", len(ms), seed, err)
		}
	}
	checkSameRing(t, got, build(t, 0, "n1", ms))
}
