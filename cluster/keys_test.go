package cluster_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/hashicorp/memberlist"

	"github.com/bucketring/bucketring/cluster"
)

// Three nodes take a new key in, use it and drop the old one, one after the other: nobody
// is missed, and no ring is made.
func TestKeysRotate(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for i := 1; i <= 3; i++ {
			cfg := w.config(i)
			cfg.Access = cluster.Access{Label: "test", Keys: [][]byte{key(1)}}
			w.join(cfg)
		}
		w.agree(2*time.Second, 3)
		before := map[string]uint64{}
		for name, c := range w.nodes {
			before[name] = c.Ring().Version
		}
		for _, step := range [][][]byte{{key(1), key(2)}, {key(2), key(1)}, {key(2)}} {
			for i := 1; i <= 3; i++ {
				if err := w.nodes[nodeName(i)].SetKeys(step); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Second) // operators take their time
			}
			w.until(time.Second, "all see the keys of all", func() bool { return allHaveKeys(w, step) })
		}
		for name, c := range w.nodes {
			if s := c.Stats(); c.Ring().Version != before[name] || s.Active != 3 || s.Deaths > 0 || s.Undecryptable > 0 {
				t.Errorf("%s has ring %d and %+v, want ring %d, three members, no death and nothing that no key opens", name, c.Ring().Version, s, before[name])
			}
		}
		late := w.config(4)
		late.Access, late.BootstrapAfter = cluster.Access{Label: "test", Keys: [][]byte{key(1)}}, 3*time.Second
		if c := w.join(late); len(c.Members()) != 1 {
			t.Errorf("a node with the old key alone sees %v, want itself alone", states(c))
		}
	})
}

// allHaveKeys reports whether every node sees that every other has these keys.
func allHaveKeys(w *world, keys [][]byte) bool {
	for _, c := range w.nodes {
		for _, m := range c.Members() {
			if m.Key != cluster.PrintKey(keys[0]) || m.Keys != cluster.PrintKeys(keys) {
				return false
			}
		}
	}
	return true
}

func TestKeysThatDoNotFit(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.config(1), w.config(2)
		a.Access = cluster.Access{Label: "test", Keys: [][]byte{key(1)}}
		with, without := w.join(a), w.join(b)
		for _, bad := range [][][]byte{nil, {}, {key(2), []byte("short")}} {
			if err := with.SetKeys(bad); err == nil {
				t.Errorf("SetKeys(%q) = nil, want an error", bad)
			}
		}
		if m := with.Self(); m.Key != cluster.PrintKey(key(1)) || m.Keys != cluster.PrintKeys([][]byte{key(1)}) {
			t.Errorf("after refusals the keys are %08x, %08x, want the old ones", m.Key, m.Keys)
		}
		if err := without.SetKeys([][]byte{key(1)}); err == nil {
			t.Error("SetKeys without keys at the start = nil, want an error")
		}
		if err := without.SetKeys(nil); err != nil || without.Self().Keys != 0 {
			t.Errorf("SetKeys of nothing where there is nothing = %v, keys %08x, want neither", err, without.Self().Keys)
		}
	})
}

// Whatever the keys were, they are then those that were asked for, with the first in front.
func TestChangeKeys(t *testing.T) {
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	some := func() (keys [][]byte) {
		for _, b := range r.Perm(5)[:1+r.IntN(4)] {
			keys = append(keys, key(byte(b)))
		}
		return keys
	}
	for range 2000 {
		had, want := some(), some()
		ring, err := memberlist.NewKeyring(had, had[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.ChangeKeys(ring, want); err != nil {
			t.Fatalf("seed %d: ChangeKeys(%x, %x) = %v", seed, had, want, err)
		}
		got := slices.Clone(ring.GetKeys())
		if !bytes.Equal(got[0], want[0]) {
			t.Errorf("seed %d: %x is primary, want %x", seed, got[0], want[0])
		}
		slices.SortFunc(got, bytes.Compare)
		slices.SortFunc(want, bytes.Compare)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d: keys (-want +got):\n%s", seed, diff)
		}
	}
}

// Who decrypts reads the list of keys while it changes: the race detector looks on.
func TestKeysChangeWhileOthersRead(t *testing.T) {
	ring, err := memberlist.NewKeyring([][]byte{key(1), key(2), key(3)}, key(1))
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				for _, k := range ring.GetKeys() {
					n += len(k)
				}
			}
		})
	}
	for i := range 500 {
		steps := [][][]byte{{key(1), key(2)}, {key(1), key(2), key(3)}, {key(1), key(3)}} // the last takes one from between
		if err := cluster.ChangeKeys(ring, steps[i%3]); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	readers.Wait()
}

// People write fingerprints down: they stay what they are, and tell keys apart.
func TestFingerprints(t *testing.T) {
	for want, got := range map[string]uint32{
		"00000000": cluster.PrintKeys(nil), "9e69a6c9": cluster.PrintKey(key(1)), "1b80cf55": cluster.PrintKeys([][]byte{key(1)}),
		"bb55d336": cluster.PrintKeys([][]byte{key(1), key(2)}), "bce63a68": cluster.PrintKeys([][]byte{key(2), key(1)}),
	} {
		if text := fmt.Sprintf("%08x", got); text != want {
			t.Errorf("fingerprint %s, want %s", text, want)
		}
	}
}
