// crash_test.go kills a node under load and brings it back.

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
)

// Nobody who asks a survivor waits for more than the budget, which is 25 ms by
// default. A machine that stands still makes a few calls slow nevertheless; to
// let none fail for that, callers have patience.
const (
	patience = 5 * time.Second
	slow     = 500 * time.Millisecond
)

// A steadyLoad is calls in the background, and what came of them.
type steadyLoad struct {
	stop func()

	mu       sync.Mutex
	calls    int
	failed   int
	example  error // one of the failures
	wrong    string
	degraded map[bucketring.Source]int
	slowest  time.Duration
	slow     int // calls that took longer than slow
}

// loadOn takes tokens of the keys from the doors in turn until stop is called.
func loadOn(doors []bucketring.Limiter, keys []string) *steadyLoad {
	ctx, cancel := context.WithCancel(context.Background())
	l := &steadyLoad{degraded: map[bucketring.Source]int{}}
	var all sync.WaitGroup
	const callers = 4
	for i := range callers {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n += callers {
				l.call(doors[n%len(doors)], keys[n/len(doors)%len(keys)])
				time.Sleep(4 * time.Millisecond)
			}
		})
	}
	l.stop = func() { cancel(); all.Wait() }
	return l
}

func (l *steadyLoad) call(door bucketring.Limiter, key string) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	d, err := door.Take(ctx, takeOne(key, "1000/h"))
	took := time.Since(began)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	l.slowest = max(l.slowest, took)
	if took > slow {
		l.slow++
	}
	if err != nil {
		l.failed++
		l.example = fmt.Errorf("after %v: %w", took, err)
		return
	}
	if d.Degraded {
		l.degraded[d.Source]++
	}
	exact := d.Source == bucketring.SourceOwner || d.Source == bucketring.SourceDeniedCache || d.Source == bucketring.SourceLease
	if exact == d.Degraded {
		l.wrong = fmt.Sprintf("source %v with degraded %v", d.Source, d.Degraded)
	}
}

// keysByOwner finds some keys of each node of a ring, by its name.
func keysByOwner(t *testing.T, nodes []*testNode, each int) map[string][]string {
	t.Helper()
	keys := map[string][]string{}
	for i, full := 0, 0; full < len(nodes); i++ {
		if i == 100*each {
			t.Fatalf("%d keys belong to %v, want %d for each of %d nodes", i, keys, each, len(nodes))
		}
		key := fmt.Sprint("key:", i)
		owner := ownerOf(t, nodes[0], key)
		if len(keys[owner]) == each {
			continue
		}
		if keys[owner] = append(keys[owner], key); len(keys[owner]) == each {
			full++
		}
	}
	return keys
}

// A crash costs no call to the survivors its verdict, whoever owned the key, and
// a node that comes back under its old name is taken in again at once.
func TestCrashUnderLoad(t *testing.T) {
	nodes, join := startCluster(t, 3)
	n1, victim, n3 := nodes[0], nodes[1], nodes[2]
	survivors := []*testNode{n1, n3}
	doors := bothDoors(t, survivors...)
	owned := keysByOwner(t, nodes, 5)
	lost := owned[victim.name]
	keys := slices.Concat(owned[n1.name], lost, owned[n3.name])

	l := loadOn(doors, keys)
	victim.kill()
	killed := time.Now()
	for _, door := range doors {
		expectReplica(t, door, lost[0])
	}
	await(t, 15*time.Second, func() error { return buried(survivors, victim.name) })
	t.Logf("survivors saw the crash after %v; promised are 6s", time.Since(killed).Round(time.Millisecond))
	for _, key := range lost {
		expectNewOwner(t, doors, key, victim.name)
	}

	back := append([]string{}, join...)
	for door, addr := range victim.doors() {
		back = append(back, "--listen-"+door, addr)
	}
	started := time.Now()
	again := startNode(t, victim.name, back...)
	ready := time.Now()
	awaitOneRing(t, 15*time.Second, n1, again, n3)
	t.Logf("back after %v, %v of them after it was ready; promised are 2s",
		time.Since(started).Round(time.Millisecond), time.Since(ready).Round(time.Millisecond))
	l.stop()
	l.check(t)
}

func (l *steadyLoad) check(t *testing.T) {
	t.Helper()
	t.Logf("%d calls, slowest %v, degraded: %v", l.calls, l.slowest.Round(time.Millisecond), l.degraded)
	if l.failed > 0 {
		t.Errorf("%d of %d calls failed, want 0; one of them %v", l.failed, l.calls, l.example)
	}
	if l.slow > l.calls/20 {
		t.Errorf("%d of %d calls took longer than %v, want 0, or a few on a machine that stands still", l.slow, l.calls, slow)
	}
	if l.wrong != "" {
		t.Errorf("an answer had %s", l.wrong)
	}
	if l.degraded[bucketring.SourceReplica] == 0 {
		t.Errorf("no answer came from a copy while keys had no owner")
	}
}

// expectReplica takes tokens of a key whose owner has just crashed until its copy
// answers. No call goes without an answer meanwhile.
func expectReplica(t *testing.T, door bucketring.Limiter, key string) {
	t.Helper()
	await(t, slack, func() error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		d, err := door.Take(ctx, takeOne(key, "1000/h"))
		if err != nil || !d.Degraded {
			t.Errorf("Take(%q) = source %v, degraded %v, error %v, want an answer that says how it was made", key, d.Source, d.Degraded, err)
		}
		if d.Source != bucketring.SourceReplica {
			return fmt.Errorf("source is %v, want %v", d.Source, bucketring.SourceReplica)
		}
		return nil
	})
}

// buried says why a node does not see yet that the one with this name is dead.
func buried(survivors []*testNode, name string) error {
	for _, n := range survivors {
		v, err := viewOf(n.web)
		if err != nil {
			return err
		}
		if v.states[name] != "dead" || strings.Contains(v.ring, name) {
			return fmt.Errorf("%s sees %s as %q in the ring %q, want dead and not in it", n.name, name, v.states[name], v.ring)
		}
	}
	return nil
}

// expectNewOwner takes until a survivor decides the key by itself again: a busy
// machine may still answer some calls without the owner.
func expectNewOwner(t *testing.T, doors []bucketring.Limiter, key, dead string) {
	t.Helper()
	for _, door := range doors {
		await(t, slack, func() error {
			d, err := door.Take(t.Context(), takeOne(key, "1000/h"))
			if err != nil {
				return err
			}
			if d.Source != bucketring.SourceOwner || d.Owner == dead || d.Owner == "" {
				return fmt.Errorf("Take(%q) = source %v, owner %q, want owner and not %q", key, d.Source, d.Owner, dead)
			}
			return nil
		})
	}
}
