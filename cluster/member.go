// member.go has a member's names and its record on the wire.

package cluster

import (
	"cmp"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// A State says what a node does. The zero State is unknown.
type State uint8

// The states of a node. The first three are what it says of itself.
const (
	StateJoining State = 1  // looks for the others, decides nothing
	StateActive  State = 2  // on the ring
	StateLeaving State = 3  // off the ring, hands over and goes
	stateLeaf    State = 4  // reserved: reads the ring, is not on it
	StateLeft    State = 16 // gone, after saying so
	StateDead    State = 17 // gone without a word
)

// String returns the state's name as operators see it.
func (s State) String() string {
	switch s {
	case StateJoining:
		return "joining"
	case StateActive:
		return "active"
	case StateLeaving:
		return "leaving"
	case stateLeaf:
		return "leaf"
	case StateLeft:
		return "left"
	case StateDead:
		return "dead"
	case 0:
		return "unknown"
	}
	return fmt.Sprintf("state(%d)", uint8(s))
}

// The versions of the node-to-node protocol that this node speaks.
const wireMin, wireMax uint16 = 1, 1

const (
	recordFormat = 1
	recordFixed  = 38 // bytes before the peer host
	maxHost      = 255
	maxZone      = 16
	maxVersion   = 32
	flagInsecure = 1 << 4 // bits 0 to 3 are free
)

// A record is what a node gossips about itself. On the wire it is big endian:
//
//	 0 u8 format   1 u8 state   2 u16 flags   4 u64 boot   12 u64 seq
//	20 u32 ring settings   24 u16 wire min   26 u16 wire max
//	28 u64 policy hash   36 u16 peer port   38 u8 n, n bytes peer host
//	   then u8 n ≤ 16, n bytes zone, then u16 port of the API, then
//	   u32 fingerprint of the gossip key that encrypts, u32 of all, then u8 n ≤ 32, n bytes
//	   version of the program; an older node ends before the port, the fingerprints or the version
//
// A longer record of this format comes from a newer node: its tail is ignored.
type record struct {
	state            State
	flags            uint16
	boot             uint64 // Unix nanoseconds of the start, or a little above
	seq              uint64 // rises with every change
	settings         uint32 // ring.Placer.Settings
	wireMin, wireMax uint16
	policy           uint64 // of the policies in force; 0 while nobody sets it
	peer             hostPort
	zone             string
	api              uint16 // port of the gRPC API beside peer, 0 for none
	key, keys        uint32 // PrintKey of the first gossip key, PrintKeys of all; 0 for none
	version          string // of the program; it decides nothing
}

// marshal returns the wire form: at most 354 bytes, where memberlist allows 512
// and panics beyond.
func (r *record) marshal() []byte {
	b := make([]byte, 0, recordFixed+13+len(r.peer.host)+len(r.zone)+len(r.version))
	b = append(b, recordFormat, byte(r.state))
	b = binary.BigEndian.AppendUint16(b, r.flags)
	b = binary.BigEndian.AppendUint64(b, r.boot)
	b = binary.BigEndian.AppendUint64(b, r.seq)
	b = binary.BigEndian.AppendUint32(b, r.settings)
	b = binary.BigEndian.AppendUint16(b, r.wireMin)
	b = binary.BigEndian.AppendUint16(b, r.wireMax)
	b = binary.BigEndian.AppendUint64(b, r.policy)
	b = binary.BigEndian.AppendUint16(b, r.peer.port)
	b = append(append(b, byte(len(r.peer.host))), r.peer.host...)
	b = append(append(b, byte(len(r.zone))), r.zone...)
	b = binary.BigEndian.AppendUint16(b, r.api)
	b = binary.BigEndian.AppendUint32(b, r.key)
	b = binary.BigEndian.AppendUint32(b, r.keys)
	return append(append(b, byte(len(r.version))), r.version...)
}

var errShort = errors.New("record is cut short")

// parseRecord reads the wire form. It keeps no part of b.
func parseRecord(b []byte) (record, error) {
	if len(b) > 0 && b[0] != recordFormat {
		return record{}, fmt.Errorf("record has format %d, want %d", b[0], recordFormat)
	}
	if len(b) < recordFixed {
		return record{}, errShort
	}
	r := record{
		state:    State(b[1]),
		flags:    binary.BigEndian.Uint16(b[2:]),
		boot:     binary.BigEndian.Uint64(b[4:]),
		seq:      binary.BigEndian.Uint64(b[12:]),
		settings: binary.BigEndian.Uint32(b[20:]),
		wireMin:  binary.BigEndian.Uint16(b[24:]),
		wireMax:  binary.BigEndian.Uint16(b[26:]),
		policy:   binary.BigEndian.Uint64(b[28:]),
		peer:     hostPort{port: binary.BigEndian.Uint16(b[36:])},
	}
	var ok1, ok2 bool
	b, r.peer.host, ok1 = cutText(b[recordFixed:])
	b, r.zone, ok2 = cutText(b)
	ok3 := r.parseTail(b)
	switch {
	case !ok1 || !ok2 || !ok3:
		return record{}, errShort
	case r.state < StateJoining || r.state > stateLeaf:
		return record{}, fmt.Errorf("record has unknown state %d", r.state)
	case !validText(r.peer.host, maxHost) || !validText(r.zone, maxZone) || !validText(r.version, maxVersion):
		return record{}, errors.New("record has a malformed text")
	}
	return r, nil
}

// parseTail reads what older nodes do not say, and reports whether b ends where a node's
// record may.
func (r *record) parseTail(b []byte) bool {
	ok := true
	switch n := len(b); {
	case n > 10:
		_, r.version, ok = cutText(b[10:])
		fallthrough
	case n == 10:
		r.key, r.keys = binary.BigEndian.Uint32(b[2:]), binary.BigEndian.Uint32(b[6:])
		fallthrough
	case n == 2:
		r.api = binary.BigEndian.Uint16(b)
		return ok
	default:
		return n == 0
	}
}

// cutText takes a text with its length off the front of b.
func cutText(b []byte) (rest []byte, s string, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, "", false
	}
	n := 1 + int(b[0])
	return b[n:], string(b[1:n]), true
}

// compatible says why the node of this record cannot be in one cluster with
// this one, or nil.
func (r *record) compatible(settings uint32) error {
	if r.settings != settings {
		return fmt.Errorf("ring settings are %08x, ours %08x: another version or key file", r.settings, settings)
	}
	if r.wireMin > wireMax || r.wireMax < wireMin {
		return fmt.Errorf("peer protocol is %d to %d, ours %d to %d", r.wireMin, r.wireMax, wireMin, wireMax)
	}
	return nil
}

// compare orders the records of one start by age.
func (r *record) compare(other *record) int {
	return cmp.Or(cmp.Compare(r.boot, other.boot), cmp.Compare(r.seq, other.seq))
}

// A gossip name is the node's name and the id of one start. With the node's
// name alone, gossip would refuse a new address until the old entry is gone,
// and take a fast restart for an edit although all memory is lost.
const nameMark = "~"

// bootIDs has 5 bytes in 8 characters, without padding.
var bootIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newBootID() string {
	var b [5]byte
	rand.Read(b[:]) // never fails
	return bootIDs.EncodeToString(b[:])
}

// splitName takes a gossip name apart.
func splitName(s string) (name, boot string, err error) {
	name, boot, _ = strings.Cut(s, nameMark)
	id, err := bootIDs.DecodeString(boot) // skips line ends, so both lengths count
	if err != nil || len(id) != 5 || len(boot) != 8 || !validName(name) {
		return "", "", fmt.Errorf("gossip name %q is malformed", s)
	}
	return name, boot, nil
}

func validName(s string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '.' || c == '-') {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= 63
}

// shortVersion makes a version fit into a record, whoever has named it.
func shortVersion(s string) string {
	fit := func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '-'
		}
		return c
	}
	s = strings.Map(fit, s)
	return s[:min(len(s), maxVersion)]
}

// validText accepts what is safe to show and to dial: printable ASCII without
// spaces.
func validText(s string, atMost int) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(s) <= atMost
}
