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
	if len(namespace)+len(value) > 124 {
		return p.longKey(namespace, value)
	}
	var stack [128]byte // clearing a larger one would cost every call
	return p.Sum64(appendParts(stack[:0], namespace, value))
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
