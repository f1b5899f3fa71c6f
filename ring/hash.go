// hash.go holds the constants of placement. They are frozen: nodes with others
// refuse each other, and a change loses every counter of a running cluster.

package ring

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Partitions is the number of parts that keys are divided into, a prime.
const Partitions = 4093

const (
	replicas = 160  // points of one member on the circle
	load     = 1.10 // most partitions of a member, against the mean
	settings = "bucketring-ring-1|4093|160|1.10|xxhash64|consistent-1.0.0|key-1"
)

// A Placer hashes for placement. All nodes of a cluster use one seed. Who does
// not know it cannot tell which keys share a partition with a given one; made
// colliding keys can still load one partition, and never degrade a table, which
// hashes by itself. The zero Placer is for clusters without a secret.
type Placer struct{ Seed uint64 }

// Sum64 hashes b.
func (p Placer) Sum64(b []byte) uint64 { return fmix64(xxhash.Sum64(b) ^ p.Seed) }

// fmix64 is the finaliser of MurmurHash3 (Appleby, 2011). It spreads the seed
// over all bits.
func fmix64(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}

// Key hashes the parts of a placement key: the namespace and the value that
// keeps one caller's limits together, each below 64 KiB. Each part carries its
// length, so that no two lists of parts look alike. It does not allocate for
// parts of up to 1,000 bytes together.
func (p Placer) Key(namespace, value string) uint64 {
	if namespace == "" && len(value) <= shortKey {
		return p.shortKey(value)
	}
	if len(namespace)+len(value) > 124 {
		return p.longKey(namespace, value)
	}
	var stack [128]byte // clearing a larger one would cost every call
	return p.Sum64(appendParts(stack[:0], namespace, value))
}

// shortKey is the longest value that Placer.shortKey hashes, in bytes.
const shortKey = 60

// shortKey is Key without a namespace. It writes the parts in words of 8 bytes, as the
// hash reads them: a processor waits for bytes that were written in other pieces.
func (p Placer) shortKey(value string) uint64 {
	var b [64]byte
	word := uint64(len(value)) << 24 // the lengths 0 and len(value) in 2 bytes each, the higher byte first
	if len(value) < 4 {
		binary.LittleEndian.PutUint64(b[:], word|few(value)<<32)
		return p.Sum64(b[:4+len(value)])
	}
	binary.LittleEndian.PutUint64(b[:], word|four(value)<<32)
	at, left := 8, value[4:]
	for ; len(left) >= 8; at, left = at+8, left[8:] {
		binary.LittleEndian.PutUint64(b[at:], four(left)|four(left[4:])<<32)
	}
	switch {
	case len(left) >= 4:
		binary.LittleEndian.PutUint64(b[at:], four(left)|few(left[4:])<<32)
	case len(left) > 0:
		binary.LittleEndian.PutUint64(b[at:], few(left))
	}
	return p.Sum64(b[:4+len(value)])
}

// four are the first 4 bytes of s as a number, the lowest byte first, and few all of fewer.
func four(s string) uint64 {
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

func few(s string) (n uint64) {
	for i := range len(s) {
		n |= uint64(s[i]) << (8 * i)
	}
	return n
}

//go:noinline
func (p Placer) longKey(namespace, value string) uint64 {
	var stack [1024]byte
	return p.Sum64(appendParts(stack[:0], namespace, value))
}

func appendParts(b []byte, namespace, value string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(namespace)))
	b = append(b, namespace...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(value)))
	return append(b, value...)
}

// Partition returns the partition of a hash made by a Placer.
func Partition(hash uint64) uint32 { return uint32(hash % Partitions) }

// Settings identifies all that placement depends on beside the members: the
// constants above and the seed. Members carry it in their records, and nodes
// refuse another value.
func (p Placer) Settings() uint32 { return uint32(p.Sum64([]byte(settings))) }
