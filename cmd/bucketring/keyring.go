// keyring.go makes and reads the file with the cluster's secrets.

package main

import (
	"bufio"
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

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/ring"
)

const keyBytes = 32

// A keyring is the content of a key file. The zero keyring is that of a cluster
// without one.
type keyring struct {
	secret []byte   // never changes: seeds placement and the peers' certificates
	gossip [][]byte // the first one encrypts, all decrypt
}

// placer derives the cluster's placement hash. Who does not know the secret
// cannot choose keys that meet in one partition.
func (k *keyring) placer() (ring.Placer, error) {
	if k.secret == nil {
		return ring.Placer{}, nil
	}
	seed, err := hkdf.Key(sha256.New, k.secret, nil, "bucketring placement 1", 8)
	if err != nil {
		return ring.Placer{}, fmt.Errorf("derive placement seed: %w", err)
	}
	return ring.Placer{Seed: binary.BigEndian.Uint64(seed)}, nil
}

// readKeyring reads a key file, which nobody else may be able to read.
func readKeyring(name string) (*keyring, error) {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("key file %s does not exist: make one with: bucketring keyring init %s", name, name)
	}
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("key file %s can be read by others: run: chmod 600 %s", name, name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	return parseKeyring(name, string(data))
}

func parseKeyring(name, text string) (*keyring, error) {
	k := &keyring{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for no := 1; lines.Scan(); no++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if len(fields) != 2 || fields[0] != "secret" && fields[0] != "gossip" {
			return nil, fmt.Errorf("%s:%d: expected \"secret BASE64\" or \"gossip BASE64\"", name, no)
		}
		key, err := base64.StdEncoding.DecodeString(fields[1])
		if err != nil || len(key) != keyBytes {
			return nil, fmt.Errorf("%s:%d: the key is not the base64 of %d bytes", name, no, keyBytes)
		}
		switch {
		case fields[0] == "gossip":
			k.gossip = append(k.gossip, key)
		case k.secret != nil:
			return nil, fmt.Errorf("%s:%d: there are two secrets, and a cluster has one", name, no)
		default:
			k.secret = key
		}
	}
	if k.secret == nil || len(k.gossip) == 0 {
		return nil, fmt.Errorf("%s: a key file has one line \"secret BASE64\" and at least one \"gossip BASE64\"", name)
	}
	return k, nil
}

// initKeyring writes a new key file and never replaces one.
func initKeyring(name string) error {
	var text strings.Builder
	text.WriteString("# Secrets of one bucketring cluster: the same file on every node, mode 0600.\n" +
		"# The secret never changes. Gossip keys can be rotated; the first one encrypts.\n")
	for _, kind := range []string{"secret", "gossip"} {
		key := make([]byte, keyBytes)
		_, _ = rand.Read(key) // never fails
		fmt.Fprintf(&text, "%s %s\n", kind, base64.StdEncoding.EncodeToString(key))
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: nodes that lose their secret lose each other, so it is kept", name)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text.String())
	return errors.Join(err, f.Sync(), f.Close())
}

func keyringCommand() *cobra.Command {
	make := &cobra.Command{
		Use: "init FILE", Short: "Make a new key file, readable by its owner only", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keep, _ := cmd.Flags().GetBool("keep"); keep {
				if _, err := readKeyring(args[0]); err == nil {
					return nil
				}
			}
			if err := initKeyring(args[0]); err != nil {
				return asExit(err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s written: copy it to every node and start each with --key-file %s\n", args[0], args[0])
			return nil
		},
	}
	make.Flags().Bool("keep", false, "succeed if the file exists and is good")
	return group("keyring", "Make the file with the cluster's secrets", make)
}
