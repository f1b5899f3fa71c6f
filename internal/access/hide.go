// hide.go keeps the ids of leases and reservations to those who were told them.

package access

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/bucketring/bucketring"
)

// An id is 128 random bits, and which namespace it is of only its partition's owner could
// tell. So who has a token for some namespaces is told each id encrypted, by a key that
// belongs to these namespaces: one block of AES, which keeps the id's form and its
// partition. From anybody else the same text comes to another id, which nobody has made.

// hider returns the key of namespaces, nil for a token of all of them.
func hider(secret []byte, namespaces []string) (cipher.Block, error) {
	if namespaces == nil {
		return nil, nil
	}
	info := []byte("bucketring ids 1")
	for _, name := range slices.Compact(slices.Sorted(slices.Values(namespaces))) {
		info = append(binary.AppendUvarint(info, uint64(len(name))), name...)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, string(info), 16)
	if err != nil {
		return nil, fmt.Errorf("access: derive a key for ids: %w", err)
	}
	return aes.NewCipher(key)
}

// Hide implements bucketring.Guard.
func (t *Tokens) Hide(ctx context.Context, leases []string, reservation string) ([]string, string) {
	if len(leases) == 0 && reservation == "" {
		return leases, reservation
	}
	g, err := t.of(ctx)
	if err != nil { // it has ended while the call was decided
		return nil, ""
	}
	if g.ids == nil {
		return leases, reservation
	}
	if reservation != "" {
		reservation = changed(reservation, g.ids.Encrypt)
	}
	return changedAll(leases, g.ids.Encrypt), reservation
}

// Reveal implements bucketring.Guard.
func (t *Tokens) Reveal(ctx context.Context, ids []string) ([]string, error) {
	g, err := t.of(ctx)
	if err != nil {
		return nil, t.counted(err)
	}
	namespace := "" // of what is meant, which is among those of the token
	if g.Namespaces != nil {
		namespace = g.Namespaces[0]
	}
	if err := t.May(ctx, bucketring.ScopeTake, namespace); err != nil || g.ids == nil {
		return ids, err
	}
	return changedAll(ids, g.ids.Decrypt), nil
}

func changedAll(ids []string, change func(to, from []byte)) []string {
	all := make([]string, len(ids))
	for i, text := range ids {
		all[i] = changed(text, change)
	}
	return all
}

// changed carries out a change of each id in a text; those of a reservation of several
// limits are joined by points. What is no id stays as it is, to be refused by who looks.
func changed(text string, change func(to, from []byte)) string {
	parts := strings.Split(text, ".")
	for i, part := range parts {
		id, at, err := bucketring.ParseID(part)
		if err != nil {
			continue
		}
		change(id[:], id[:])
		parts[i] = id.Text(at)
	}
	return strings.Join(parts, ".")
}
