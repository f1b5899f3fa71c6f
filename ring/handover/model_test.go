package handover

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	oneSeed = flag.Uint64("seed", 0, "the only seed to run, with its log")
	seeds   = flag.Int("seeds", 0, "how many seeds to run, 10,000 if not given, with the race detector 2,000")
)

const (
	chaos   = 400 * time.Millisecond
	settled = 40 * time.Second // at most, after the last fault
)

// call lets one caller spend something somewhere.
func (w *world) call() {
	p := uint32(w.rng.IntN(parts))
	var holders []*sim
	for _, s := range w.live() {
		if s.role[p] == RoleHold {
			holders = append(holders, s)
		}
	}
	if len(holders) == 0 || len(w.at) == 8*64 {
		return
	}
	s := holders[w.rng.IntN(len(holders))]
	if !w.faulty && !s.state[p].contains(w.admitted[p]) {
		w.fail("%v decides %d without earlier calls", s.Node, p)
	}
	op := len(w.at)
	w.at = append(w.at, w.now)
	s.state[p] = s.state[p].with(op)
	w.admitted[p] = w.admitted[p].with(op)
}

// has is all that a node that is up knows of a partition.
func (s *sim) has(p uint32) ops {
	all := s.state[p]
	for _, c := range s.m.parts[p].copies() {
		all = all.or(opsOf(c.State))
	}
	return all
}

// rest is why the cluster is not at rest, empty if it is.
func (w *world) rest() string {
	if w.split {
		return "it is split"
	}
	live := w.live()
	for _, s := range live {
		if s.v.records[s.Node].status != 0 {
			return fmt.Sprintf("%v is leaving", s.Node)
		}
		for p := range uint32(parts) {
			pt := &s.m.parts[p]
			mine := s.v.owner[p] == s.Node
			switch {
			case s.v.owner != live[0].v.owner:
				return "views differ"
			case mine != (pt.role == RoleHold) || !mine && pt.role != RoleNone:
				return fmt.Sprintf("%v has role %d in %d of %v", s.Node, pt.role, p, s.v.owner[p])
			case pt.waiting() > 0 || pt.frozen.copy.Gen != 0 && !pt.frozen.acked:
				return fmt.Sprintf("%v has something of %d for others", s.Node, p)
			case mine && !s.state[p].contains(w.admitted[p].without(w.lost[p])):
				return fmt.Sprintf("%v lacks calls of %d", s.Node, p)
			}
		}
	}
	return ""
}

// simulate runs one seed: 0 mod 3 without, 1 with crashes, 2 with splits.
func simulate(seed uint64, bug plant, log func(string, ...any)) (coverage, error) {
	w := &world{rng: rand.New(rand.NewPCG(seed, 7)), loss: 0.05, log: log, plant: bug}
	for i := range 1 + w.rng.IntN(5) {
		var records map[Node]record
		if i > 0 {
			records = w.nodes[0].v.records
		} else {
			records = map[Node]record{}
		}
		w.start(fmt.Sprintf("n%d", i), records)
		w.run(w.now + w.between(1, 30*time.Millisecond))
	}
	kind := int(seed % 3)
	var calls func()
	calls = func() {
		w.call()
		w.after(w.between(0, 4*time.Millisecond), calls)
	}
	calls()
	for end := w.now + chaos; w.now < end && w.err == nil; {
		w.run(w.now + w.between(0, 60*time.Millisecond))
		w.change(kind)
	}
	why := ""
	for end := w.now + settled; w.err == nil && w.now < end; {
		w.run(w.now + 20*time.Millisecond)
		if why = w.rest(); why == "" {
			return w.seen, w.err
		}
	}
	if w.err == nil {
		w.fail("no rest: %s", why)
	}
	return w.seen, w.err
}

// TestModel runs clusters of machines through joins, leaves, crashes and splits, with
// messages lost, late and twice.
func TestModel(t *testing.T) {
	if *oneSeed != 0 {
		if _, err := simulate(*oneSeed, nil, t.Logf); err != nil {
			t.Fatal(err)
		}
		return
	}
	n := *seeds
	switch {
	case n > 0:
	case raceEnabled(): // there is one goroutine to each cluster, it finds nothing
		n = 2_000
	default:
		n = 10_000
	}
	all, failed := sweep(uint64(n), nil)
	if failed != "" {
		t.Error(failed)
	}
	t.Logf("%d seeds: %+v", n, all)
	text := fmt.Sprintf("%+v ", all)
	if n >= 10_000 && (strings.Contains(text, ":0 ") || strings.Contains(text, ":0}")) {
		t.Errorf("a rule was never needed: %s", text)
	}
}

// sweep runs many seeds and returns the first that fails.
func sweep(n uint64, bug plant) (all coverage, failed string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	workers := uint64(runtime.GOMAXPROCS(0))
	for k := range workers {
		wg.Go(func() {
			for seed := 1 + k; seed <= n; seed += workers {
				seen, err := simulate(seed, bug, func(string, ...any) {})
				mu.Lock()
				all.add(seen)
				if err != nil && failed == "" {
					failed = fmt.Sprintf("%v\nagain: go test ./ring/handover -run TestModel -seed=%d -v", err, seed)
				}
				stop := failed != ""
				mu.Unlock()
				if stop {
					return
				}
			}
		})
	}
	wg.Wait()
	return all, failed
}

// raceEnabled reports whether the race detector is built in.
func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
