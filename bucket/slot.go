// slot.go is a place of a partition's table: a pointer to a bucket that also says whether the
// bucket is worth looking at, for each look at a wrong one waits for a line of memory.

package bucket

import (
	"sync/atomic"
	"unsafe"
)

// A slot points to a bucket, or as many bytes behind its begin as three bits of its hash say: a
// bucket begins at a multiple of eight bytes, as the word in it asks for. To the collector a
// pointer into a bucket is as good as one to its begin. The zero slot is free.
type slot struct{ at atomic.Pointer[byte] }

const hints = 8

const _ = unsafe.Alignof(bucket{}) - hints // or this does not compile

// hintOf returns three bits of a hash that do not say where it is put first: at most 2^40
// slots are looked up by the lowest ones.
func hintOf(hash uint64) uintptr { return uintptr(hash >> (hashBits - 3) % hints) }

// store puts a bucket there.
func (s *slot) store(b *bucket) {
	s.at.Store((*byte)(unsafe.Add(unsafe.Pointer(b), hintOf(b.hash()))))
}

// load returns the bucket that is there, nil if the slot is free.
func (s *slot) load() *bucket {
	p := unsafe.Pointer(s.at.Load())
	if p == nil {
		return nil
	}
	return (*bucket)(unsafe.Add(p, -int(uintptr(p)%hints)))
}

// candidate returns the bucket that is there if it may be one of a hash, of which hint is the
// hintOf; else nil. free says that there is none.
func (s *slot) candidate(hint uintptr) (b *bucket, free bool) {
	p := unsafe.Pointer(s.at.Load())
	if p == nil || uintptr(p)%hints != hint {
		return nil, p == nil
	}
	return (*bucket)(unsafe.Add(p, -int(hint))), false
}
