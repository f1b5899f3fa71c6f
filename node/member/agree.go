// agree.go tells for how long other nodes have seen another ring than this one.

package member

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring/ring"
)

// A moment of disagreement is normal: a change reaches nodes one after the other.
const normal = 10 * time.Second

// An agreement knows which rings the others have. The zero value has heard nothing.
type agreement struct {
	mu     sync.Mutex
	ring   *ring.Ring      // this node's; guarded by mu, as all below
	theirs map[string]word // by the names of nodes
	since  time.Time       // when the first of the members began to differ; zero if none does
}

// A word is what a node has told of its ring.
type word struct {
	boot, rings uint64 // of which start, and the how many-th ring since
	fingerprint uint64 // 0 for none, or for a node that tells none
}

// later reports whether w was said after o.
func (w word) later(o word) bool {
	return cmp.Or(cmp.Compare(w.boot, o.boot), cmp.Compare(w.rings, o.rings)) > 0
}

// maxStrangers bounds what is remembered of nodes that are no members, or not yet.
const maxStrangers = 1000

// follow takes a ring of this node.
func (a *agreement) follow(r *ring.Ring, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.ring != nil {
		for _, m := range slices.Concat(a.ring.Members, a.ring.Leaving) {
			if _, stays := r.Find(m.Name); !stays {
				delete(a.theirs, m.Name)
			}
		}
	}
	a.ring = r
	a.lookLocked(now)
}

// heard takes what another node says of its ring.
func (a *agreement) heard(node string, w word, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old, known := a.theirs[node]; known && !w.later(old) {
		return
	}
	if a.theirs == nil {
		a.theirs = map[string]word{}
	}
	a.theirs[node] = w
	if a.ring != nil && len(a.theirs) > len(a.ring.Members)+len(a.ring.Leaving)+maxStrangers {
		maps.DeleteFunc(a.theirs, func(name string, _ word) bool { _, member := a.ring.Find(name); return !member })
	}
	a.lookLocked(now)
}

func (a *agreement) lookLocked(now time.Time) {
	if a.ring == nil {
		return
	}
	differ := false
	for name, theirs := range a.theirs {
		_, member := a.ring.Find(name) // or it may have told before this node knows it
		differ = differ || member && theirs.fingerprint != 0 && theirs.fingerprint != a.ring.Fingerprint
	}
	switch {
	case !differ:
		a.since = time.Time{}
	case a.since.IsZero():
		a.since = now
	}
}

// lasts returns for how long somebody has differed, 0 for a moment that is normal.
func (a *agreement) lasts(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if since := now.Sub(a.since); !a.since.IsZero() && since > normal {
		return since
	}
	return 0
}

// of says whether a node has told of the ring that this one has, and whether it has told at all.
func (a *agreement) of(node string) (agrees, told bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.theirs[node]
	return a.ring != nil && w.fingerprint == a.ring.Fingerprint, w.fingerprint != 0
}

// RingOf reports whether another member has the ring that this one has, as far as it has told:
// not told says nothing. A moment of disagreement is normal while a ring changes.
func (m *Member) RingOf(name string) (agrees, told bool) { return m.rings.of(name) }

// Disagreement is for how long other members have seen another ring than this node does: 0
// if none has for more than 10 s, which is normal while a ring changes.
func (m *Member) Disagreement() time.Duration { return m.rings.lasts(time.Now()) }
