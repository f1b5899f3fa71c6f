// keyfile.go takes a changed key file in while a node runs. A bad file changes nothing.

package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/internal/metrics"
	"github.com/bucketring/bucketring/node/member"
)

// A keyfile is that of a running node.
type keyfile struct {
	path   string
	member *member.Member
	log    *slog.Logger
}

// load takes the file in as it is now.
func (k *keyfile) load() (changed bool, err error) {
	had := k.member.Keys()
	keys, err := member.ReadKeys(k.path)
	if err != nil {
		return false, err
	}
	if err := k.member.SetKeys(keys); err != nil {
		return false, fmt.Errorf("key file %s: %w", k.path, err)
	}
	if changed = had.Print() != keys.Print(); changed {
		k.tell(&had, &keys)
	}
	return changed, nil
}

// tell logs which keys there are now.
func (k *keyfile) tell(had, keys *member.Keys) {
	prints := keys.Prints()
	k.log.Info("gossip keys changed", "encrypts", prints[0], "decrypts", strings.Join(prints, ","), "all", keys.Print())
	if !slices.Contains(had.Prints(), prints[0]) {
		k.log.Warn("a step of the key rotation was left out: nodes without the new key cannot hear this one", "encrypts", prints[0])
	}
}

// keyStats are the gossip keys, for metrics.
func (s *server) keyStats() metrics.Keys {
	keys := s.member.Keys()
	stats := metrics.Keys{First: keys.Prints()[0], All: keys.Print()}
	for _, m := range (*view)(s).known() {
		if here := m.State != cluster.StateDead && m.State != cluster.StateLeft; here && member.Print(m.Keys) != stats.All {
			stats.Mismatch++
		}
	}
	return stats
}
