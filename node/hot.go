// hot.go knows which keys are asked for most and denied most, from a sample of the takes.

package node

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	hotWindow = 10 * time.Second
	// hotKeys is how many keys a sketch counts: a key that has more than so large a part
	// of the takes is never missed.
	hotKeys = 256
	// hotEnough is how many takes of a window are noted before fewer are.
	hotEnough = 4096
	// hotFirst is how many decisions of a kind a door notes each, that are made at once: so
	// that who tries things out sees numbers that are right.
	hotFirst = 1000
)

// Hot is what the keys were that were asked for lately.
type Hot struct {
	// Within is how long ago the first of the takes was that count, up to 20 s. Afterwards
	// it grows to that anew.
	Within time.Duration
	// Taken has the keys with the most takes, Denied those with the most denials, most first.
	Taken, Denied []HotKey
}

// A HotKey is a key and what was asked of it. Numbers are estimates once there are more
// than some hundred takes a second.
type HotKey struct {
	// Namespace is empty for limits that came with the call.
	Namespace string
	// Limit is the one that answers described, as they name it; of a decision by a Step, what
	// its door says.
	Limit string
	// Key is the call's, or the attributes by which the policy's limit counts. It is as the
	// caller gave it: who shows it should ask whether that may be.
	Key string
	// Takes and Denied count calls. The one by which a list is not sorted may be too low.
	Takes, Denied int64
	// Over is by how much the number that sorts may be too high, beside the error of a
	// sample. It is at most half of that.
	Over int64
}

// Hot returns the keys that takes through doors, and all takes with policies, have named
// lately, at most so many of each list.
func (n *Node) Hot(most int) Hot { return n.hot.top(n.local.clock.now().Mono, most) }

// saw notes a take that brought its limits along, which stands for so many.
func (n *Node) saw(req *bucketring.Request, d *bucketring.Decision, stands int64) {
	if req.Verb != bucketring.VerbTake || req.Namespace != "" {
		return // takePolicy notes those itself: it knows the key
	}
	n.sawKey(req.Key, d, stands)
}

// sawKey is saw for a key of limits that no policy has.
func (n *Node) sawKey(key string, d *bucketring.Decision, stands int64) {
	if weight := n.hot.weigh(stands); weight > 0 {
		n.hot.note(n.local.clock.now().Mono, &HotKey{Limit: d.Name, Key: key}, d.Allowed, weight)
	}
}

// glimpse is saw for one of decisions that are made at once, the count-th of its kind. It is
// called for the first hotFirst of them, and for one in timedEach.
func (n *Node) glimpse(req *bucketring.Request, d *bucketring.Decision, count int64) {
	if count <= hotFirst {
		n.saw(req, d, 1)
		return
	}
	n.saw(req, d, timedEach)
}

// hot counts takes by key. Calls share a lock only for those that are noted, which are
// some thousand in a window and, of more than that, one in 961. The zero value is empty.
type hot struct {
	each atomic.Int64 // one take in so many is noted: 1 (or 0), 31 or 961

	mu     sync.Mutex
	began  int64  // of this window, on the monotonic clock; guarded by mu
	lasted int64  // how long the window before was; guarded by mu
	noted  int64  // in this window; guarded by mu
	now    window // guarded by mu
	last   window // guarded by mu
}

// A window is what was noted in some seconds.
type window struct{ taken, denied sketch }

// weigh says for how many a take counts that stands for some already, 0 for one that is not
// in the sample.
func (h *hot) weigh(stands int64) int64 {
	each := h.each.Load()
	switch {
	case each <= stands:
		return stands
	case rand.Int64N(each/stands) != 0: // one more than what it stands for is left out
		return 0
	}
	return each
}

// note counts a take at a time. It keeps no part of key.
func (h *hot) note(now int64, key *HotKey, allowed bool, weight int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn(now)
	h.noted++
	switch {
	case h.noted > 2*hotEnough:
		h.each.Store(timedEach * timedEach)
	case h.noted > hotEnough:
		h.each.Store(timedEach)
	}
	if row := h.now.taken.add(key, weight); !allowed {
		row.Denied += weight
		h.now.denied.add(key, weight)
	}
}

// turn begins another window when it is time. The lock is held.
func (h *hot) turn(now int64) {
	switch age := now - h.began; {
	case h.began == 0:
		h.began = now
	case age < int64(hotWindow):
	default:
		h.last, h.lasted, h.now = h.now, age, window{}
		if age >= 2*int64(hotWindow) { // for half of that nobody came
			h.last, h.lasted = window{}, int64(hotWindow)
		}
		h.began, h.noted = now, 0
		h.each.Store(1)
	}
}

// top returns the first keys of both windows together.
func (h *hot) top(now int64, most int) Hot {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.turn(now)
	taken, denied := sum(&h.now.taken, &h.last.taken), sum(&h.now.denied, &h.last.denied)
	top := Hot{Within: time.Duration(h.lasted + now - h.began), Taken: first(most, taken), Denied: first(most, denied)}
	for i := range top.Denied {
		row := &top.Denied[i]
		row.Denied = row.Takes
		row.Takes = max(row.Denied, taken[row.name()].Takes)
	}
	return top
}

// sum adds up the rows of the same key.
func sum(sketches ...*sketch) map[hotName]HotKey {
	all := map[hotName]HotKey{}
	for _, s := range sketches {
		for _, row := range s.rows {
			one := all[row.name()]
			row.Takes, row.Denied, row.Over = row.Takes+one.Takes, row.Denied+one.Denied, row.Over+one.Over
			all[row.name()] = row
		}
	}
	return all
}

// first sorts the keys with the most takes. Those that may have had less than half of what
// they show are left out: so are all where no key is hot.
func first(most int, all map[hotName]HotKey) []HotKey {
	keys := make([]HotKey, 0, len(all))
	for _, one := range all {
		if one.Over <= one.Takes/2 {
			keys = append(keys, one)
		}
	}
	slices.SortFunc(keys, func(a, b HotKey) int {
		return cmp.Or(cmp.Compare(b.Takes, a.Takes), strings.Compare(a.Namespace, b.Namespace),
			strings.Compare(a.Limit, b.Limit), strings.Compare(a.Key, b.Key))
	})
	return keys[:min(len(keys), max(most, 0))]
}
