// id.go names leases and reservations.

package bucketring

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// An ID names a lease or a reservation within its partition: 128 random bits.
type ID [16]byte

// Anywhere marks the partition of an id whose limit each node counts for itself:
// only the node that handed it out knows it.
const Anywhere uint32 = 1 << 15

// idText is how callers see an id: partition and bits, 24 characters.
const idText = 24

// Text returns what callers see of an id: it routes to the partition from any
// node.
func (id ID) Text(partition uint32) string {
	var raw [18]byte
	binary.BigEndian.PutUint16(raw[:], uint16(partition))
	copy(raw[2:], id[:])
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// ParseID reads what Text wrote. The error is ErrInvalid.
func ParseID(text string) (id ID, partition uint32, err error) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(text) != idText || len(raw) != idText*3/4 { // the decoder skips line ends
		return id, 0, Invalidf("an id has %d characters of A-Z, a-z, 0-9, - and _: give it as the take answered it", idText)
	}
	copy(id[:], raw[2:])
	return id, uint32(binary.BigEndian.Uint16(raw)), nil
}

// TokenID returns the id of the lease that a take with a token has at one counter:
// the same each time, and known to nobody who does not know the token.
func TokenID(token string, limit uint64, key string) (id ID) {
	b := binary.BigEndian.AppendUint64([]byte("lease"), limit)
	b = binary.BigEndian.AppendUint64(b, uint64(len(token)))
	sum := sha256.Sum256(append(append(b, token...), key...))
	copy(id[:], sum[:])
	return id
}
