// key.go keeps a bucket and its key together: most keys are short, and then a take
// touches one line of the cache for both.

package bucket

import (
	"strings"
	"unsafe"
)

// Buckets with room for a short key behind them. The first is as large as a line.
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
		text [48]byte
	}
)

// bucketFor returns an empty bucket with a copy of key, which may be part of a large
// message.
func bucketFor(key string) *bucket {
	switch n := len(key); {
	case n <= 16:
		b := new(bucket16)
		b.key = copied(b.text[:], key)
		return &b.bucket
	case n <= 32:
		b := new(bucket32)
		b.key = copied(b.text[:], key)
		return &b.bucket
	case n <= 48:
		b := new(bucket48)
		b.key = copied(b.text[:], key)
		return &b.bucket
	}
	return &bucket{key: strings.Clone(key)}
}

// copied copies key to text and returns it there. Nobody writes text again, and the
// string keeps it alive.
func copied(text []byte, key string) string {
	return unsafe.String(&text[0], copy(text, key))
}
