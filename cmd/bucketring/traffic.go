// traffic.go sends the demo's calls, as many clients would.

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// A tally is what came of a number of calls.
type tally struct {
	mu        sync.Mutex
	calls     int
	failed    int
	degraded  int
	local     int            // decided by the node that was asked
	forwarded int            // decided by another
	admitted  map[string]int // by key
	firstErr  error
}

func (t *tally) count(key string, d bucketring.Decision, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.calls++
	switch {
	case err != nil:
		t.failed++
		if t.firstErr == nil {
			t.firstErr = err
		}
		return
	case d.Degraded:
		t.degraded++
	case d.Node == d.Owner:
		t.local++
	default:
		t.forwarded++
	}
	if d.Allowed {
		t.admitted[key]++
	}
}

// keysWith counts the keys that were admitted exactly n times.
func (t *tally) keysWith(n int) int {
	keys := 0
	for _, admitted := range t.admitted {
		if admitted == n {
			keys++
		}
	}
	return keys
}

// spread lists the keys of n calls.
func spread(n int, key func(int) string) []string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = key(i)
	}
	return keys
}

const callers = 16 // that ask at the same time

// traffic takes one token of each key, all nodes and both doors in turn.
func (d *show) traffic(keys []string, limit string) *tally {
	limits := bucketring.MustParse(limit)
	doors := d.doors()
	t := &tally{admitted: map[string]int{}}
	work := make(chan int)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for i := range work {
				decision, err := doors[i%len(doors)].take(d.ctx, keys[i], limits)
				t.count(keys[i], decision, err)
			}
		})
	}
	for i := range keys {
		work <- i
	}
	close(work)
	all.Wait()
	d.report(t)
	return t
}

// load sends calls of many keys in the background, through the nodes that serve
// at the moment, until the function that it returns is called.
func (d *show) load() (stop func() *tally) {
	ctx, cancel := context.WithCancel(d.ctx)
	limits := bucketring.MustParse("1000/h")
	t := &tally{admitted: map[string]int{}}
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				doors := d.doors()
				key := fmt.Sprint("load:", rand.IntN(1000))
				decision, err := doors[n%len(doors)].take(d.ctx, key, limits)
				if err == errRetired {
					continue // between the choice of the door and the call
				}
				t.count(key, decision, err)
				select {
				case <-ctx.Done():
				case <-time.After(2 * time.Millisecond):
				}
			}
		})
	}
	return func() *tally {
		cancel()
		all.Wait()
		d.report(t)
		return t
	}
}

func (d *show) report(t *tally) {
	if t.firstErr != nil {
		d.tell("first error: %v", t.firstErr)
	}
}

// doors lists the doors of all nodes that callers may ask.
func (d *show) doors() []*door {
	var all []*door
	for _, p := range d.fleet.serving() {
		all = append(all, p.doors...)
	}
	return all
}

// A door is one way to ask one node.
type door struct {
	node *process
	http *asker
	grpc *client.Client
}

// openDoors returns both doors of a node.
func openDoors(ctx context.Context, p *process) ([]*door, error) {
	c, err := client.Dial(ctx, client.Config{Addrs: []string{p.addrs["grpc"]}})
	return []*door{{node: p, http: newAsker(p.addrs["http"])}, {node: p, grpc: c}}, err
}

func closeDoors(doors []*door) {
	for _, d := range doors {
		if d.grpc != nil {
			_ = d.grpc.Close()
		}
	}
}

// errRetired means that the node is about to end and was not asked.
var errRetired = errors.New("node is about to end")

func (d *door) take(ctx context.Context, key string, limits []bucketring.Limit) (bucketring.Decision, error) {
	d.node.calls.RLock()
	defer d.node.calls.RUnlock()
	if d.node.retired.Load() {
		return bucketring.Decision{}, errRetired
	}
	if d.grpc != nil {
		return d.grpc.Take(ctx, bucketring.Request{Key: key, Limits: limits, Cost: 1})
	}
	var answer decision
	body := map[string]any{"key": key, "limit": limits[0].String()}
	_, err := d.http.call(ctx, http.MethodPost, "/v1/take", body, &answer, http.StatusTooManyRequests)
	return bucketring.Decision{
		Allowed: answer.Allowed, Degraded: answer.Degraded, Node: answer.Node, Owner: answer.Owner,
	}, err
}

// members asks one node who is there.
func (d *show) members(p *process) (*membersAnswer, error) {
	var m membersAnswer
	_, err := newAsker(p.addrs["http"]).call(d.ctx, http.MethodGet, "/v1/members", nil, &m)
	return &m, err
}

// awaitMembers waits until every running node sees exactly these as active and
// has given each of them a part of the ring.
func (d *show) awaitMembers(names ...string) error {
	want := strings.Join(names, " ")
	seen := ""
	for {
		agree := true
		for _, p := range d.fleet.serving() {
			m, err := d.members(p)
			if err != nil {
				return err
			}
			var active []string
			for _, one := range m.Members {
				if one.State == "active" && one.Owned > 0 {
					active = append(active, one.Name)
				}
			}
			slices.Sort(active)
			if seen = strings.Join(active, " "); seen != want {
				agree = false
				break
			}
		}
		if agree {
			return nil
		}
		select {
		case <-d.ctx.Done():
			return fmt.Errorf("members are %q, waited for %q: %w", seen, want, d.ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}
