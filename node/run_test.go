package node_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring/node"
)

// running runs a node in a bubble until stop is called. The bubble fails if Run
// leaves a goroutine behind.
func running(t *testing.T, n *node.Node) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run = %v, want nil", err)
			}
		default:
			t.Errorf("Run goes on after its context has ended")
		}
	}
}

func TestRunSweepsBothTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := away(t, 2)
		n := c.nodes[0]
		stop := running(t, n)
		fill := func(prefix, text string) (owned, shared int64) {
			before := n.Stats()
			for i := range 200 {
				mustTake(t, n, take(fmt.Sprint(prefix, i), limits(t, text)))
			}
			after := n.Stats()
			return after.Table.Keys - before.Table.Keys, after.Share.Keys - before.Share.Keys
		}
		fill("short-", "2/s")
		owned, shared := fill("long-", "2/h")
		if owned+shared != 200 || owned == 0 || shared == 0 {
			t.Fatalf("counters of 200 keys = %d and %d, want some in each table", owned, shared)
		}
		time.Sleep(62 * time.Second) // a round, when all of 2/s are full
		if s := n.Stats(); s.Table.Keys != owned || s.Share.Keys != shared {
			t.Errorf("counters after a round = %d and %d, want %d and %d", s.Table.Keys, s.Share.Keys, owned, shared)
		}
		time.Sleep(time.Hour)
		if s := n.Stats(); s.Table.Keys != 0 || s.Share.Keys != 0 {
			t.Errorf("counters after an hour = %d and %d, want none", s.Table.Keys, s.Share.Keys)
		}
		stop()
	})
}

// TestRunHurriesWhenNearlyFull: above 85 % of either bound a round takes an
// eighth of the time.
func TestRunHurriesWhenNearlyFull(t *testing.T) {
	tests := []struct {
		name          string
		keys, maxKeys int
		maxBytes      int64 // a key needs 64
		quick         bool
	}{
		{"no bound", 1000, 0, 0, false},
		{"all of the keys", 1000, 1000, 0, true},
		{"85 % of the keys", 850, 1000, 0, false},
		{"all of few keys", 50, 50, 0, true},
		{"84 % of few keys", 42, 50, 0, false},
		{"all of the bytes", 1000, 0, 64_000, true},
		{"half of the bytes", 1000, 0, 128_000, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newCluster(t, 1, func(cfg *node.Config) {
					cfg.MaxKeys, cfg.MaxBytes = int64(tt.maxKeys), tt.maxBytes
				}).nodes[0]
				l := limits(t, "1/m")
				for i := range tt.keys {
					mustTake(t, n, take(fmt.Sprint("key-", i), l))
				}
				time.Sleep(time.Minute) // they are full again
				stop := running(t, n)
				time.Sleep(time.Second)
				// A round of a minute drops a sixtieth of the keys in a second, a quick one
				// eight times as many.
				if dropped := n.Stats().Table.Dropped; (dropped > int64(tt.keys)/16) != tt.quick {
					t.Errorf("dropped %d of %d keys in a second, quickly: %v, want %v", dropped, tt.keys, !tt.quick, tt.quick)
				}
				stop()
			})
		})
	}
}

func TestRunSamplesTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster(t, 1).nodes[0]
		n.SetWallOff(100 * time.Millisecond)
		stop := running(t, n)
		time.Sleep(time.Second)
		if now := n.ClockNow(); now.Wall != time.Now().UnixNano() {
			t.Errorf("clock after a second of Run is off by %v, want the wall clock", time.Duration(now.Wall-time.Now().UnixNano()))
		}
		stop()
	})
}

func TestRunEndsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newCluster(t, 1).nodes[0]
		began := time.Now()
		stop := running(t, n)
		stop()
		if took := time.Since(began); took != 0 {
			t.Errorf("Run ended %v after its context, want at once", took)
		}
	})
}
