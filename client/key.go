// key.go makes keys of what callers cannot choose, or not at any length.

package client

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"

	"github.com/bucketring/bucketring"
)

// noKey is the key of all callers of whom nothing is known: they share its limits.
const noKey = "(none)"

// AnyKey makes any text a key: all callers without a text share one, and a text that is
// too long is replaced by its hash, so that it cannot get round a limit.
func AnyKey(text string) string {
	switch {
	case text == "":
		return noKey
	case len(text) > bucketring.MaxKeyLen:
		return HashKey(text)
	}
	return text
}

// HashKey makes a secret a key: its SHA-256 in hexadecimal. That of nothing is nothing.
func HashKey(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// AddrKey makes an address a key. An IPv6 address counts by its /64, which is what one
// subscriber has; an address that is not valid is no key, the empty text.
func AddrKey(addr netip.Addr) string {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		if addr.IsValid() {
			return addr.String()
		}
		return ""
	}
	prefix, _ := addr.Prefix(64) // no error: the bits fit
	return prefix.String()
}
