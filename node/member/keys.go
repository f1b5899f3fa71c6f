// keys.go reads the file with the cluster's secrets.

package member

import (
	"bufio"
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport"
)

const keyBytes = 32

// Keys are the secrets of a cluster, the same on every node. The zero Keys are those of a
// cluster without.
type Keys struct {
	// Insecure accepts strangers where there are no secrets.
	Insecure bool
	// Own proves which node this is by certificates from elsewhere; nil for those that each
	// node mints from the secret.
	Own *transport.Identity

	secret []byte   // never changes: seeds placement and the peers' certificates
	gossip [][]byte // the first one encrypts, all decrypt
}

// ReadKeys reads a key file, which nobody else may be able to read: a line "secret BASE64",
// and lines "gossip BASE64", of which the first encrypts and all decrypt.
func ReadKeys(name string) (Keys, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Keys{}, fmt.Errorf("key file %s does not exist: make one with: bucketring keyring init %s", name, name)
	}
	if err != nil {
		return Keys{}, fmt.Errorf("key file: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return Keys{}, fmt.Errorf("key file %s can be read by others: run: chmod 600 %s", name, name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return Keys{}, fmt.Errorf("key file: %w", err)
	}
	return ParseKeys(name, string(data))
}

// ParseKeys reads the text of a key file; name is for errors.
func ParseKeys(name, text string) (k Keys, err error) {
	lines := bufio.NewScanner(strings.NewReader(text))
	for no := 1; lines.Scan(); no++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 || fields[0] != "secret" && fields[0] != "gossip" {
			return Keys{}, fmt.Errorf("%s:%d: expected \"secret BASE64\" or \"gossip BASE64\"", name, no)
		}
		key, err := base64.StdEncoding.DecodeString(fields[1])
		if err != nil || len(key) != keyBytes {
			return Keys{}, fmt.Errorf("%s:%d: the key is not the base64 of %d bytes", name, no, keyBytes)
		}
		switch {
		case fields[0] == "gossip":
			k.gossip = append(k.gossip, key)
		case k.secret != nil:
			return Keys{}, fmt.Errorf("%s:%d: there are two secrets, and a cluster has one", name, no)
		default:
			k.secret = key
		}
	}
	if k.secret == nil || len(k.gossip) == 0 {
		return Keys{}, fmt.Errorf("%s: a key file has one line \"secret BASE64\" and at least one \"gossip BASE64\"", name)
	}
	return k, nil
}

// next says why other keys cannot follow k while a node runs, or nil.
func (k *Keys) next(other Keys) error {
	if !bytes.Equal(k.secret, other.secret) {
		return errors.New("the secret is another one: it seeds placement and certificates and never changes, so put the old line back")
	}
	return nil
}

// Prints are the fingerprints of the gossip keys in their order: the first one encrypts.
func (k *Keys) Prints() []string {
	all := make([]string, len(k.gossip))
	for i, key := range k.gossip {
		all[i] = Print(cluster.PrintKey(key))
	}
	return all
}

// Print is the fingerprint of all gossip keys in their order: equal on nodes that have taken
// in the same key file. It is empty without any.
func (k *Keys) Print() string { return Print(cluster.PrintKeys(k.gossip)) }

// Print shows a fingerprint as people compare it; empty for 0, which is none.
func Print(fingerprint uint32) string {
	if fingerprint == 0 {
		return ""
	}
	return fmt.Sprintf("%08x", fingerprint)
}

// NewKeys returns the text of a new key file.
func NewKeys() string {
	var text strings.Builder
	text.WriteString("# Secrets of one bucketring cluster: the same file on every node, mode 0600.\n" +
		"# The secret never changes. Gossip keys can be rotated; the first one encrypts.\n")
	text.WriteString(newLine("secret") + newLine("gossip"))
	return text.String()
}

// newLine returns a line of a key file with a new key.
func newLine(kind string) string {
	key := make([]byte, keyBytes)
	_, _ = rand.Read(key) // never fails
	return kind + " " + base64.StdEncoding.EncodeToString(key) + "\n"
}

// Identity returns what proves to other nodes which one this is, by its name; nil without
// secrets and certificates.
func (k *Keys) Identity(name string) (*transport.Identity, error) {
	if k.Own != nil || k.secret == nil {
		return k.Own, nil
	}
	return transport.NewIdentity(k.secret, name)
}

// Placer derives the cluster's placement hash. Who does not know the secret
// cannot choose keys that meet in one partition.
func (k *Keys) Placer() (ring.Placer, error) {
	if k.secret == nil {
		return ring.Placer{}, nil
	}
	seed, err := hkdf.Key(sha256.New, k.secret, nil, "bucketring placement 1", 8)
	if err != nil {
		return ring.Placer{}, fmt.Errorf("derive placement seed: %w", err)
	}
	return ring.Placer{Seed: binary.BigEndian.Uint64(seed)}, nil
}

// Derive returns 32 bytes for a purpose, the same on all nodes that have these keys; nil
// without secrets.
func (k *Keys) Derive(purpose string) ([]byte, error) {
	if k.secret == nil {
		return nil, nil
	}
	secret, err := hkdf.Key(sha256.New, k.secret, nil, purpose, keyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive a secret: %w", err)
	}
	return secret, nil
}
