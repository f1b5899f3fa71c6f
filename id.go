// id.go names leases and reservations.

package bucketring

import (
	"encoding/base64"
	"encoding/binary"
)

// An ID names a lease or a reservation within its partition: 128 random bits.
type ID [16]byte

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
	if err != nil || len(text) != idText {
		return id, 0, Invalidf("an id has %d characters of A-Z, a-z, 0-9, - and _: give it as the take answered it", idText)
	}
	copy(id[:], raw[2:])
	return id, uint32(binary.BigEndian.Uint16(raw)), nil
}
