package bucket_test

import (
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// TestMillionCallsEqualTheModel is promise S17: random sequences of all verbs,
// amounts and clocks give exactly what the reference gives.
func TestMillionCallsEqualTheModel(t *testing.T) {
	total := 1_000_000
	if testing.Short() || raceEnabled() {
		total /= 20 // the detector makes big numbers slow, and this is one goroutine
	}
	const workers = 2
	for w := range workers {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			seed := rand.Uint64()
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			data := make([]byte, 3000)
			for done := 0; done < total/workers; {
				for i := range data {
					data[i] = byte(random.Uint32())
				}
				calls, fault := run(data, 400)
				if done += calls; fault != "" {
					t.Fatalf("seed %d, worker %d: %s", seed, w, fault)
				}
			}
		})
	}
}

// TestScheduleEqualsTheModel finds less and shows it shorter: rapid shrinks.
func TestScheduleEqualsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if _, fault := run(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "data"), 100); fault != "" {
			t.Fatal(fault)
		}
	})
}
