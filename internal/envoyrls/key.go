// key.go names the counters of the dialect.

package envoyrls

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// counterKey joins what a counter belongs to: the domain, the unit, and the entries in their
// order, each part with its length before it, so that no two lists are alike. A pattern that
// is shared stands for the value. How many requests are allowed is no part of it.
func counterKey(domain string, a *ask) string {
	var room [bucketring.MaxKeyLen]byte
	b := appendPart(room[:0], domain)
	b = append(b, byte(a.limit.unit))
	b = binary.AppendUvarint(b, uint64(max(a.limit.multiplier, 1)))
	b = appendEntries(b, a.entries, a.rule)
	if len(b) > bucketring.MaxKeyLen {
		sum := sha256.Sum256(b)
		// No length is written with ten such bytes.
		b = append(bytes.Repeat([]byte{0xff}, binary.MaxVarintLen64), sum[:]...)
	}
	return string(b)
}

// keyText is what a counter belongs to within its domain, such as user=u1 path=/v1. It is for
// people: other counters may have the same.
func keyText(a *ask) string {
	var room [128]byte
	b := room[:0]
	for i := range a.entries {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(append(b, a.entries[i].Key...), '='), sharedValue(a.entries, a.rule, i)...)
	}
	return string(b)
}

// sharedValue is the value of an entry, or the pattern that stands for it.
func sharedValue(entries []policy.Entry, rule *policy.Rule, i int) string {
	if rule != nil {
		if pattern, ok := rule.Shared(i); ok {
			return pattern
		}
	}
	return entries[i].Value
}

// appendEntries appends keys and values. rule, if not nil, says which patterns are shared.
func appendEntries(b []byte, entries []policy.Entry, rule *policy.Rule) []byte {
	for i := range entries {
		value := sharedValue(entries, rule, i)
		b = appendPart(b, entries[i].Key)
		if len(value) <= maxValue {
			b = appendPart(append(b, 0), value)
		} else {
			sum := sha256.Sum256([]byte(value))
			b = append(append(b, 1), sum[:]...)
		}
	}
	return b
}

func appendPart(b []byte, part string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}
