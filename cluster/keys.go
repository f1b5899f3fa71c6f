// keys.go changes the keys of gossip while a node runs, and says which it has without
// giving them away.

package cluster

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/hashicorp/memberlist"
)

// PrintKey returns the fingerprint of a gossip key: what people compare, and nothing from
// which a key could be found. It is never 0.
func PrintKey(key []byte) uint32 { return printOf("bucketring gossip key 1", key) }

// PrintKeys returns the fingerprint of keys in their order, 0 if there are none: equal on
// nodes that have taken in the same key file.
func PrintKeys(keys [][]byte) uint32 {
	if len(keys) == 0 {
		return 0
	}
	return printOf("bucketring gossip keys 1", keys...)
}

func printOf(what string, keys ...[]byte) uint32 {
	sum := sha256.New()
	sum.Write([]byte(what))
	for _, key := range keys {
		sum.Write([]byte{byte(len(key))})
		sum.Write(key)
	}
	return cmp.Or(binary.BigEndian.Uint32(sum.Sum(nil)), 1)
}

// setKeys makes keys those of which the record tells.
func (r *record) setKeys(keys [][]byte) {
	r.key, r.keys = 0, PrintKeys(keys)
	if len(keys) > 0 {
		r.key = PrintKey(keys[0])
	}
}

// checkKeys refuses keys that AES does not know.
func checkKeys(keys [][]byte) error {
	for i, key := range keys {
		if n := len(key); n != 16 && n != 24 && n != 32 {
			return fmt.Errorf("cluster: gossip key %d has %d bytes: want 16, 24 or 32", i+1, n)
		}
	}
	return nil
}

// SetKeys makes keys those of this node: from now on the first encrypts, and all decrypt.
// It tells the others which these are by their fingerprints, and does not wait until they
// have heard. Gossip that has begun without keys, or with, stays so. After Leave or Close
// it does nothing.
func (c *Cluster) SetKeys(keys [][]byte) error {
	if err := checkKeys(keys); err != nil {
		return err
	}
	if (len(keys) == 0) != (c.keyring == nil) {
		return errors.New("cluster: gossip keys cannot come or go while a node runs: restart it")
	}
	c.ending.take()
	defer c.ending.give()
	if c.keyring == nil || c.ended {
		return nil
	}
	if err := changeKeys(c.keyring, keys); err != nil {
		return fmt.Errorf("cluster: gossip keys: %w", err)
	}
	before := c.record
	if c.record.setKeys(keys); c.record != before && !c.leaving {
		_ = c.announce(c.record.state, atOnce) // its error says no more than that nobody was waited for
	}
	return nil
}

// changeKeys makes keys, of which there is one at least, those of a keyring. Who decrypts
// meanwhile reads the keyring's list without its lock, and memberlist removes a key by moving
// those behind it: so keys go from the end, where none is moved, and those that stay come back.
func changeKeys(k *memberlist.Keyring, keys [][]byte) error {
	if err := errors.Join(k.AddKey(keys[0]), k.UseKey(keys[0])); err != nil {
		return err
	}
	had := k.GetKeys()
	first := slices.IndexFunc(had, func(key []byte) bool {
		return !slices.ContainsFunc(keys, func(kept []byte) bool { return bytes.Equal(key, kept) })
	})
	for i := len(had) - 1; first > 0 && i >= first; i-- {
		if err := k.RemoveKey(had[i]); err != nil {
			return err
		}
	}
	for _, key := range keys[1:] {
		if err := k.AddKey(key); err != nil {
			return err
		}
	}
	return nil
}
