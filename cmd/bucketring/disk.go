// disk.go gives the node a directory to keep long-lived counters in.

package main

import (
	"fmt"
	"hash/fnv"
	"iter"
	"log/slog"

	"github.com/bucketring/bucketring/internal/metrics"
	"github.com/bucketring/bucketring/internal/store"
	"github.com/bucketring/bucketring/node"
)

// syncNever is the value of --data-sync for disks that need no waiting for.
const syncNever = "never"

// A keptCounters is a store as the node knows it.
type keptCounters struct{ *store.Store }

var _ node.Store = keptCounters{}

// Append implements node.Store.
func (k keptCounters) Append(entries iter.Seq2[[]byte, []byte]) error {
	var all []store.Record
	for key, value := range entries {
		all = append(all, store.Record{Key: key, Value: value})
	}
	return k.Store.Append(all)
}

// Snapshot implements node.Store.
func (k keptCounters) Snapshot(all iter.Seq2[[]byte, []byte]) error {
	return k.Store.Snapshot(func(yield func(store.Record) bool) {
		for key, value := range all {
			if !yield(store.Record{Key: key, Value: value}) {
				return
			}
		}
	})
}

// openDisk opens the directory of the configuration, if there is one, and returns what
// is in it.
func openDisk(cfg *config, log *slog.Logger) (*store.Store, iter.Seq2[[]byte, []byte], error) {
	if cfg.DataDir == "" {
		return nil, nil, nil
	}
	label := fnv.New64a()
	label.Write([]byte(cfg.Cluster.Label))
	mode := store.SyncInterval
	if cfg.DataSync == syncNever {
		mode = store.SyncNever
	}
	s, found, err := store.Open(store.Config{Dir: cfg.DataDir, Sync: mode, Label: label.Sum64(), Logger: log})
	if err != nil {
		return nil, nil, fmt.Errorf("--data-dir %s: %w", cfg.DataDir, err)
	}
	log.Info("counters read from disk", "dir", cfg.DataDir, "entries", len(found))
	return s, func(yield func(key, value []byte) bool) {
		for _, r := range found {
			if !yield(r.Key, r.Value) {
				return
			}
		}
	}, nil
}

// diskStats is the state of the directory, for metrics.
func (s *server) diskStats() metrics.Disk {
	d := s.disk.Stats()
	return metrics.Disk{
		OK: d.Err == nil, Written: d.Bytes, Errors: d.Errors, TornLogs: d.Torn, Quarantined: d.Quarantined, BadGaps: d.Gaps,
	}
}
