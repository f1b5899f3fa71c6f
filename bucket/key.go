// key.go keeps a bucket and its key together: most keys are short, and then a take
// touches one line of the cache for both, or two.

package bucket

import (
	"strings"
	"sync/atomic"
	"unsafe"
)

// A tag is what a look-up compares first, in one word:
//
//	bit 63       noted: changes.go knows of the bucket
//	bits 57-62   length of the key, or longKey
//	bits 0-56    hash
const (
	noted    = 1 << 63
	hashBits = 57
	hashMask = 1<<hashBits - 1
	longKey  = 63 // the key does not stand behind the bucket, see longBucket
)

// tagOf returns the tag of a bucket that nobody has noted.
func tagOf(hash uint64, key string) uint64 {
	length := len(key)
	if length > maxShort {
		length = longKey
	}
	return hash&hashMask | uint64(length)<<hashBits
}

// Buckets with room for a short key behind them.
type (
	bucket16 struct {
		bucket
		text [16]byte
	}
	bucket32 struct {
		bucket
		text [32]byte
	}
	bucket48 struct {
		bucket
		text [maxShort]byte
	}
	longBucket struct {
		bucket
		key string
	}
)

// maxShort is the longest key that stands behind its bucket, in bytes.
const maxShort = 48

// bucketFor returns an empty bucket with a tag and a copy of key, which may be part of a
// large message.
func bucketFor(hash uint64, key string) (b *bucket) {
	switch n := len(key); {
	case n <= 16:
		short := new(bucket16)
		copy(short.text[:], key)
		b = &short.bucket
	case n <= 32:
		short := new(bucket32)
		copy(short.text[:], key)
		b = &short.bucket
	case n <= maxShort:
		short := new(bucket48)
		copy(short.text[:], key)
		b = &short.bucket
	default:
		b = &(&longBucket{key: strings.Clone(key)}).bucket
	}
	b.tag.Store(tagOf(hash, key))
	return b
}

// key returns the key of a bucket that bucketFor has made. Nobody writes it again, and the
// string keeps it alive.
func (b *bucket) key() string {
	length := b.tag.Load() &^ noted >> hashBits
	if length == longKey {
		return (*longBucket)(unsafe.Pointer(b)).key
	}
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(b), unsafe.Sizeof(*b))), length)
}

// fetchKey reads the first bytes behind the bucket, which often lie in another line of memory.
// A plain read of what nobody uses would be compiled away.
func (b *bucket) fetchKey() {
	atomic.LoadUint64((*uint64)(unsafe.Add(unsafe.Pointer(b), unsafe.Sizeof(*b))))
}
