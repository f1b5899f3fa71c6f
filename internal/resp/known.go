// known.go remembers under which keys there are counters, for CL.THROTTLE.

package resp

import (
	"hash/maphash"
	"sync/atomic"
)

// knownSlots is how many keys are remembered at most: half a MiB of hashes, once the first
// counter is there.
const knownSlots = 1 << 16

// A known remembers keys by their hashes, so that CL.THROTTLE asks about a counter only
// where there has been one, and pays nothing while there are none. It has seen no more than
// the commands of its own server, and forgets a key when another one with a counter takes
// its slot. So it misses counters that only other nodes, or this one before its last start,
// have heard of. A hash that two keys share costs a question and is not believed. It is safe
// for concurrent use.
type known struct {
	seed  maphash.Seed
	slots atomic.Pointer[[knownSlots]atomic.Uint64] // hashes that are odd; nil until the first
}

// slot returns where the hash of key belongs, and that hash.
func (k *known) slot(slots *[knownSlots]atomic.Uint64, key string) (*atomic.Uint64, uint64) {
	hash := maphash.String(k.seed, key)
	return &slots[hash>>48], hash | 1
}

// has reports whether key had a counter when it was last heard of.
func (k *known) has(key string) bool {
	slots := k.slots.Load()
	if slots == nil {
		return false
	}
	slot, hash := k.slot(slots, key)
	return slot.Load() == hash
}

// note says that key has a counter.
func (k *known) note(key string) {
	slots := k.slots.Load()
	if slots == nil {
		k.slots.CompareAndSwap(nil, new([knownSlots]atomic.Uint64))
		slots = k.slots.Load()
	}
	if slot, hash := k.slot(slots, key); slot.Load() != hash {
		slot.Store(hash)
	}
}

// forget says that key has none.
func (k *known) forget(key string) {
	slots := k.slots.Load()
	if slots == nil {
		return
	}
	if slot, hash := k.slot(slots, key); slot.Load() == hash {
		slot.CompareAndSwap(hash, 0)
	}
}
