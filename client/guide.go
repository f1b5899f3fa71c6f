// guide.go remembers who owns which keys, so that a call goes there at once and nobody
// has to forward it; and who has failed, so that calls begin elsewhere for a while.

package client

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

const (
	// guideKeys is how many keys a guide remembers at most. A key that it has forgotten is
	// asked for at any node, which forwards the call.
	guideKeys = 1 << 18
	// guideWays is how many keys share a place: with one, a twenty-fifth of 10,000 keys would
	// share theirs with another and be forgotten in turns.
	guideWays = 4
	// maxGuided is how many nodes have a number in it.
	maxGuided = 255
	// passedOver is how long a node that failed is not asked first. Then one call tries it,
	// and if that fails too, it is passed over twice as long, and maxPassedOver at most.
	passedOver    = time.Second
	maxPassedOver = 30 * time.Second
)

// A guide knows nothing that answers have not said: an answer names the node that gave it
// and the one that owns the key. Where keys lie is a secret of the cluster, so a client
// cannot work it out, and what has moved is learned from the next answer. A guess that is
// wrong costs what no guess costs. The methods are safe for concurrent use.
type guide struct {
	seed maphash.Seed
	base time.Time
	// nodes are as many as have a number.
	nodes []guided
	named atomic.Int32 // how many of them have a name
	// keys has, at a place that the key's hash says, 24 other bits of the hash and the
	// number of its owner; 0 for none. Where a place is full, a new key takes that of an older
	// one. It is empty for a client that does not ask owners.
	keys []place
}

// A place is a quarter of a cache line.
type place [guideWays]atomic.Uint32

// A guided is a node.
type guided struct {
	name  atomic.Pointer[string] // what it calls itself; nil before its first answer
	until atomic.Int64           // when it may be tried again, ns since base; 0 if it has not failed since its last answer
	tries atomic.Int32           // since then
}

// newGuide returns nil for a single node: there is nothing to choose.
func newGuide(nodes int, owners bool) *guide {
	if nodes < 2 {
		return nil
	}
	g := &guide{seed: maphash.MakeSeed(), base: time.Now(), nodes: make([]guided, min(nodes, maxGuided))}
	if owners {
		g.keys = make([]place, guideKeys/guideWays)
	}
	return g
}

// hash is the same for calls that the same nodes decide; ok is false for calls whose
// owner no answer says.
func (g *guide) hash(req *bucketring.Request) (hash uint64, ok bool) {
	if g == nil || len(g.keys) == 0 || len(req.IDs) > 0 {
		return 0, false
	}
	hash = maphash.String(g.seed, req.Key)
	if req.Namespace == "" {
		return hash, true
	}
	hash += maphash.String(g.seed, req.Namespace)
	for name, value := range req.Attributes { // in any order, so they are summed
		hash += bits.RotateLeft64(maphash.String(g.seed, name), 1) ^ maphash.String(g.seed, value)
	}
	return hash, true
}

// first returns the node to ask first: the one that owned the key when a call like it was
// last answered, or one whose name is to be learned. ok is false for any. Only calls that
// may be repeated try a node that has failed.
func (g *guide) first(hash uint64, tries bool) (no uint32, ok bool) {
	if _, one := g.at(hash).find(hash); one != 0 {
		no = one&0xff - 1
		return no, g.use(no, tries)
	}
	if g.named.Load() == int32(len(g.nodes)) {
		return 0, false
	}
	for i := range g.nodes {
		if no = uint32(i); g.nodes[i].name.Load() == nil && g.use(no, tries) {
			return no, true
		}
	}
	return 0, false
}

func (g *guide) at(hash uint64) *place { return &g.keys[hash%uint64(len(g.keys))] }

// find returns what a place knows of a key, 0 for nothing, and where that is or may go: to
// what is free, or else to one that the hash says.
func (p *place) find(hash uint64) (at *atomic.Uint32, one uint32) {
	at = &p[hash>>32%guideWays]
	for i := range p {
		switch one = p[i].Load(); {
		case one == 0:
			return &p[i], 0 // they fill from the first one on
		case one>>8 == uint32(hash>>40):
			return &p[i], one
		}
	}
	return at, 0
}

func (g *guide) now() int64 { return int64(time.Since(g.base)) }

// use reports whether a call may begin at a node. A node that has failed is tried when its
// time has come, by one call.
func (g *guide) use(no uint32, tries bool) bool {
	if g == nil || int(no) >= len(g.nodes) {
		return true
	}
	node := &g.nodes[no]
	until := node.until.Load()
	return until == 0 || tries && node.again(until, g.now())
}

// again passes a node over for longer, if the time until which it was has come. Of several
// callers one is told so.
func (n *guided) again(until, now int64) bool {
	pause := min(passedOver<<min(n.tries.Load()+1, 10), maxPassedOver)
	if now < until || !n.until.CompareAndSwap(until, now+int64(pause)) {
		return false
	}
	n.tries.Add(1)
	return true
}

// fail notes that a node did not answer.
func (g *guide) fail(no uint32) {
	if g == nil || int(no) >= len(g.nodes) {
		return
	}
	node, now := &g.nodes[no], g.now()
	if until := node.until.Load(); until != 0 {
		node.again(until, now)
		return
	}
	node.until.CompareAndSwap(0, now+int64(passedOver))
}

// isUp reports whether a node is not passed over at present.
func (g *guide) isUp(no uint32) bool {
	if g == nil || int(no) >= len(g.nodes) {
		return true
	}
	until := g.nodes[no].until.Load()
	return until == 0 || g.now() >= until
}

// answered notes that a node is there.
func (g *guide) answered(no uint32) {
	if g == nil || int(no) >= len(g.nodes) {
		return
	}
	if node := &g.nodes[no]; node.until.Load() != 0 {
		node.tries.Store(0)
		node.until.Store(0)
	}
}

// learn takes from a node's answer what it is called and who owns the key.
func (g *guide) learn(no uint32, hash uint64, d *bucketring.Decision) {
	if int(no) >= len(g.nodes) {
		return
	}
	node := &g.nodes[no]
	if known := node.name.Load(); known == nil || *known != d.Node {
		name := d.Node
		if node.name.Swap(&name) == nil {
			g.named.Add(1)
		}
	}
	if d.Source != bucketring.SourceOwner || d.Owner == "" {
		return
	}
	owner, known := no, d.Owner == d.Node
	for i := 0; !known && i < len(g.nodes); i++ {
		name := g.nodes[i].name.Load()
		owner, known = uint32(i), name != nil && *name == d.Owner
	}
	if !known {
		return
	}
	one := uint32(hash>>40)<<8 | (owner + 1)
	if at, known := g.at(hash).find(hash); known != one { // mostly it is that already, and other cores keep their copies
		at.Store(one)
	}
}
