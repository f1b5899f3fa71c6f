package member

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// KeyNames returns what to call a caller's key where it must not be seen, as in logs: 8
// hexadecimal digits of a keyed hash. Nodes with the same secret call a key the same; without
// a secret each process has names of its own.
func (k *Keys) KeyNames() (func(key string) string, error) {
	secret := make([]byte, keyBytes)
	_, _ = rand.Read(secret) // never fails
	if k.secret != nil {
		var err error
		if secret, err = hkdf.Key(sha256.New, k.secret, nil, "bucketring key names 1", keyBytes); err != nil {
			return nil, fmt.Errorf("derive names of keys: %w", err)
		}
	}
	return func(key string) string {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(key))
		return hex.EncodeToString(h.Sum(nil)[:4])
	}, nil
}
