// soak_test.go changes a cluster again and again: nothing may be lost, and nothing
// may pile up in a node that stays.

package proctest_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

var soak = flag.Duration("soak", 0, "how long to change the cluster in TestSoak; 0 leaves it out")

const (
	changeEvery = 15 * time.Second
	soakKeys    = 30 // of each change
)

// TestSoak: every 15 s a node joins, leaves, or restarts. Counts from before each
// change are exact after it. The first node stays: goroutines, files and memory are
// measured there (A22).
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("skipped: give a duration with -soak")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	c := startCluster(t, 3, patient()...)
	stays := c.serving()[0]
	l := c.load(calm, loadKeys(), loadLimit)
	var before map[string]float64
	began, born := time.Now(), 3
	for round := 0; time.Since(began) < *soak; round++ {
		next := time.After(changeEvery)
		keys := names(fmt.Sprint("soak", round, "-"), soakKeys)
		spend(t, c, 4, keys, tenAnHour)
		others := c.serving()[1:]
		one := others[rng.IntN(len(others))]
		switch what := rng.IntN(3); {
		case what == 0 && len(others) < 4 || len(others) < 2:
			born++
			c.start(fmt.Sprint("n", born))
		case what == 1:
			c.stop(one)
		default:
			c.stop(one)
			c.restart(one)
		}
		c.awaitAgreement()
		after := c.takeAll(rounds(20, keys, tenAnHour), nil)
		expectExactly(t, "A22", fmt.Sprintf("change %d, 6 of 10 were left, 20 more takes", round+1), after, keys, 6)
		if round == 3 { // it is warm
			before = stays.usage(t)
		}
		<-next
	}
	l.stop().expectAnswers(t, "A22")
	if before == nil {
		t.Skip("too short to compare what a node uses: give at least two minutes")
	}
	after := stays.usage(t)
	minutes := (time.Since(began) - 4*changeEvery).Minutes()
	for _, name := range usageNames {
		t.Logf("A22 %s: %.0f, then %.0f", name, before[name], after[name])
	}
	if more := after["go_goroutines"] - before["go_goroutines"]; more > 30 {
		t.Errorf("A22: %.0f goroutines more after %.0f minutes, want them flat", more, minutes)
	}
	if more := after["process_open_fds"] - before["process_open_fds"]; more > 15 {
		t.Errorf("A22: %.0f open files more after %.0f minutes, want them flat", more, minutes)
	}
	show(t, figure{"A22", "memory of a node that stays", "< 1 MiB/min", (after["process_resident_memory_bytes"] - before["process_resident_memory_bytes"]) / minutes / (1 << 20), "MiB/min", ""})
}

var usageNames = []string{"go_goroutines", "process_open_fds", "process_resident_memory_bytes", "bucketring_keys"}

// usage returns what a node says of itself.
func (n *node) usage(t *testing.T) map[string]float64 {
	t.Helper()
	used, err := n.metrics(t.Context(), usageNames...)
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// metrics returns what a node says of metrics without labels.
func (n *node) metrics(ctx context.Context, names ...string) (map[string]float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.doors()["admin"]+"/metrics", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	found := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		for _, name := range names {
			if value, ok := strings.CutPrefix(line, name+" "); ok {
				found[name], _ = strconv.ParseFloat(strings.TrimSpace(value), 64)
			}
		}
	}
	return found, err
}
