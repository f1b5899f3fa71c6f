package workload_test

import (
	"math"
	"slices"
	"testing"

	"github.com/bucketring/bucketring/internal/workload"
)

// draw counts how often each key comes in n draws.
func draw(keys *workload.Keys, n int) map[string]int {
	counts := map[string]int{}
	for s := keys.Stream(); n > 0; n-- {
		counts[s.Next()]++
	}
	return counts
}

func TestHotIsOneKey(t *testing.T) {
	keys := workload.Hot()
	if got := draw(keys, 10); len(got) != 1 || got["account:0"] != 10 {
		t.Errorf("10 draws = %v, want account:0 each time", got)
	}
	if got := keys.All(); !slices.Equal(got, []string{"account:0"}) {
		t.Errorf("All() = %q, want account:0 alone", got)
	}
}

func TestDistinctKeysAreNobodyElses(t *testing.T) {
	seen := map[string]int{}
	for caller := range 3 {
		for key, count := range draw(workload.Distinct(5, caller), 10) {
			seen[key] += count
		}
	}
	if len(seen) != 15 {
		t.Errorf("3 callers with 5 keys each have %v, want 15 keys", seen)
	}
	for key, count := range seen {
		if count != 2 {
			t.Errorf("%s comes %d times in two rounds, want 2", key, count)
		}
	}
}

func TestUniformDrawsAllKeysAlike(t *testing.T) {
	const n, each = 1 << 16, 2
	counts := draw(workload.Uniform(n, 1), each*n)
	if len(counts) != n {
		t.Errorf("%d different keys in a sequence, want %d", len(counts), n)
	}
	for key, count := range counts {
		if count < each-1 || count > each+1 {
			t.Fatalf("%s comes %d times in a sequence, want about %d", key, count, each)
		}
	}
}

// TestZipfFollowsItsLaw compares the shares of the most popular keys with 1/k^s,
// for exponents below, at and above 1.
func TestZipfFollowsItsLaw(t *testing.T) {
	for _, s := range []float64{0.5, 1, 1.1, 2} {
		const n, draws = 1000, 1 << 16
		total := 0.0
		for k := range n {
			total += math.Pow(float64(k+1), -s)
		}
		var counts []int
		for _, count := range draw(workload.Zipf(n, s, 7), draws) {
			counts = append(counts, count)
		}
		slices.SortFunc(counts, func(a, b int) int { return b - a })
		for k := range 10 {
			want := draws * math.Pow(float64(k+1), -s) / total
			if got := float64(counts[k]); math.Abs(got-want) > 2 {
				t.Errorf("Zipf(s=%v): rank %d comes %v times, want %.1f", s, k+1, got, want)
			}
		}
	}
}

// TestPopularityIsNotInTheName: a store that lays keys out by number must not
// find the popular ones side by side.
func TestPopularityIsNotInTheName(t *testing.T) {
	counts := draw(workload.Zipf(100_000, 1.1, 7), 100_000)
	low := 0
	for _, key := range workload.Uniform(100_000, 0).All()[:100] {
		low += counts[key]
	}
	if low > 50_000 {
		t.Errorf("the 100 lowest numbers have %d of 100,000 draws, want them spread", low)
	}
}

func TestSeedDecides(t *testing.T) {
	first := func(seed uint64) (keys []string) {
		s := workload.Zipf(1000, 1.1, seed).Stream()
		for range 100 {
			keys = append(keys, s.Next())
		}
		return keys
	}
	if a, b := first(3), first(3); !slices.Equal(a, b) {
		t.Errorf("two streams of seed 3 differ: %v and %v", a, b)
	}
	if a, b := first(3), first(4); slices.Equal(a, b) {
		t.Errorf("streams of seeds 3 and 4 are equal: %v", a)
	}
}

// TestStreamsOfCallers: the next caller begins where the one before ends.
func TestStreamsOfCallers(t *testing.T) {
	const draws, callers = 1 << 16, 4
	keys := workload.Uniform(1000, 1)
	whole := keys.Stream()
	for caller := range callers {
		s := keys.StreamOf(caller, callers)
		for i := range draws / callers {
			if got, want := s.Next(), whole.Next(); got != want {
				t.Fatalf("draw %d of caller %d = %s, want %s", i, caller, got, want)
			}
		}
	}
	if got, want := whole.Next(), keys.Stream().Next(); got != want {
		t.Errorf("after the last draw comes %s, want the first one again, %s", got, want)
	}
}

func TestNextAllocatesNothing(t *testing.T) {
	s := workload.Zipf(1000, 1.1, 1).Stream()
	if allocs := testing.AllocsPerRun(100, func() { s.Next() }); allocs != 0 {
		t.Errorf("Next allocates %v times, want 0", allocs)
	}
}

func BenchmarkNext(b *testing.B) {
	run := func(name string, keys *workload.Keys) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			s := keys.Stream()
			for b.Loop() {
				s.Next()
			}
		})
	}
	run("keys=hot", workload.Hot())
	run("keys=zipf", workload.Zipf(1_000_000, 1.1, 1))
}
