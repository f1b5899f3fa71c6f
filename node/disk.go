// disk.go writes long-lived counters to disk, a moment after they have changed, and
// finds them there at the next start.

package node

import (
	"context"
	"encoding/binary"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// A Store keeps entries beyond the end of the process. One goroutine uses it.
type Store interface {
	// Append writes entries; an empty value deletes a key. They are on disk when it
	// returns.
	Append(entries iter.Seq2[[]byte, []byte]) error
	// WantsSnapshot reports whether it is time to write all anew.
	WantsSnapshot() bool
	// Snapshot replaces what is kept by all.
	Snapshot(all iter.Seq2[[]byte, []byte]) error
}

const (
	flushEvery = 500 * time.Millisecond // so that a power cut costs less than a second
	// longLived is the shortest window that is worth the disk.
	longLived = time.Hour
	// restoredFor is how long what was found at the start stays on disk, whoever has
	// joined it.
	restoredFor = 5 * time.Minute
)

// A disk is what a node has to write. The zero value writes nothing.
type disk struct {
	local    *Local
	store    Store // nil for none
	log      *slog.Logger
	began    time.Time
	restored map[uint32]*bucket.State // found at the start; does not change

	mu     sync.Mutex
	dirty  map[string]*bucket.State // one record each, by the key of its entry; guarded by mu
	failed bool                     // the last write; belongs to who flushes
	flush  sync.Mutex               // held by who flushes
}

// durable reports whether counters of a limit outlive the process.
func durable(l *bucketring.Limit) bool {
	switch {
	case l == nil:
		return true // a reservation that is gone
	case l.Kind == bucketring.KindLevel:
		return true
	case l.Kind == bucketring.KindConcurrency:
		return l.TTL >= longLived
	case l.Kind == bucketring.KindRegister:
		return false // see longRegister
	}
	return l.Per >= longLived
}

// add notes what has changed in a partition.
func (d *disk) add(part uint32, s *bucket.State) {
	if d == nil || d.store == nil || s == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dirty == nil {
		d.dirty = map[string]*bucket.State{}
	}
	maps.Insert(d.dirty, entries(part, s))
}

// addAll notes a partition that came as a whole: its counters have not changed here.
func (d *disk) addAll(part uint32, now bucket.Now) {
	if d.store != nil {
		d.add(part, d.local.table.Export(part, now))
	}
}

// entries are the parts of a state that are kept one by one.
func entries(part uint32, s *bucket.State) iter.Seq2[string, *bucket.State] {
	return func(yield func(string, *bucket.State) bool) {
		head := bucket.State{Gen: s.Gen, Lineage: s.Lineage, Seq: s.Seq}
		for i := range s.Records {
			r := &s.Records[i]
			if !durable(r.Limit) && !longLeases(r) && !longRegister(r) {
				continue
			}
			one := head
			one.Records = s.Records[i : i+1]
			if !yield(entryKey(part, r.Limit, r.Key), &one) {
				return
			}
		}
		for i := range s.Reserved {
			r := &s.Reserved[i]
			if !durable(r.Limit) {
				continue
			}
			one := head
			one.Reserved = s.Reserved[i : i+1]
			if !yield(string(binary.BigEndian.AppendUint16([]byte{'r'}, uint16(part)))+string(r.ID[:]), &one) {
				return
			}
		}
	}
}

// longLeases reports whether a record has leases that last: its limit has lost how long.
func longLeases(r *bucket.Record) bool {
	for i := range r.Marks {
		for j := range r.Marks[i].Leases {
			if r.Marks[i].Leases[j].Life >= int64(longLived) {
				return true
			}
		}
	}
	return false
}

// longRegister reports whether a record is a register that lasts, or has: then its shorter
// life is worth writing, too. One without numbers may be on disk with them.
func longRegister(r *bucket.Record) bool {
	return r.Limit.Kind == bucketring.KindRegister && slices.ContainsFunc(r.Marks, func(m bucket.Mark) bool {
		return m.N >= int64(longLived) || len(m.Slots) <= 1
	})
}

// entryKey names a counter: its partition, the limit without its amount, and its key.
func entryKey(part uint32, l *bucketring.Limit, key string) string {
	b := binary.BigEndian.AppendUint16([]byte{'c'}, uint16(part))
	b = binary.BigEndian.AppendUint64(b, l.ID)
	b = append(b, byte(l.Kind), byte(l.Algorithm), byte(l.Align), l.Precision)
	b = binary.BigEndian.AppendUint64(b, uint64(l.Window()))
	b = binary.AppendUvarint(b, uint64(len(l.Zone)))
	return string(append(append(b, l.Zone...), key...))
}

// entry is what is written of a state: when, in Unix milliseconds, and the state with
// times counted from then. It is empty for what says nothing any more.
func (d *disk) entry(s *bucket.State, now bucket.Now) ([]byte, error) {
	if len(s.Records) == 1 && d.local.table.IsUnused(&s.Records[0], now) || len(s.Reserved) == 1 && s.Reserved[0].Until <= now.Mono {
		return nil, nil
	}
	b, err := toState(s, now).Bytes()
	return append(binary.BigEndian.AppendUint64(nil, uint64(now.Wall/int64(time.Millisecond))), b...), err
}

// restore reads what an earlier process has written. What cannot be read is left out.
func (d *disk) restore(all iter.Seq2[[]byte, []byte], now bucket.Now) {
	d.restored = map[uint32]*bucket.State{}
	for key, value := range all {
		if len(key) < 3 || len(value) < 8 {
			continue
		}
		part := uint32(binary.BigEndian.Uint16([]byte(key[1:])))
		written := int64(binary.BigEndian.Uint64(value)) * int64(time.Millisecond)
		w, err := peerpb.StateOf(value[8:])
		if err != nil || part >= ring.Partitions {
			continue
		}
		then := now // on today's clock; a clock that went back gives no time back
		then.Mono = max(now.Mono-max(now.Wall-written, 0), 0)
		s := fromState(w, then)
		all := d.restored[part]
		if all == nil {
			all = &bucket.State{}
			d.restored[part] = all
		}
		if s.Gen >= all.Gen {
			all.Gen, all.Lineage, all.Seq = s.Gen, s.Lineage, s.Seq
		}
		all.Records, all.Reserved = append(all.Records, s.Records...), append(all.Reserved, s.Reserved...)
	}
}

// run writes until ctx is done.
func (d *disk) run(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.write()
		}
	}
}

// write brings what has changed to disk. What could not be written is tried again.
func (d *disk) write() {
	d.flush.Lock()
	defer d.flush.Unlock()
	d.collect()
	d.mu.Lock()
	dirty := d.dirty
	d.dirty = nil
	d.mu.Unlock()
	var err error
	if len(dirty) > 0 || d.failed {
		err = d.store.Append(d.encoded(dirty))
	}
	if err != nil {
		d.mu.Lock()
		if d.dirty == nil {
			d.dirty = map[string]*bucket.State{}
		}
		for key, s := range dirty {
			if d.dirty[key] == nil {
				d.dirty[key] = s
			}
		}
		d.mu.Unlock()
	} else if d.store.WantsSnapshot() {
		err = d.store.Snapshot(d.everything())
	}
	if err != nil && !d.failed {
		d.log.Error("the disk cannot be written: decisions go on, a restart would lose what is not written", "err", err)
	}
	if err == nil && d.failed {
		d.log.Info("the disk can be written again")
	}
	d.failed = err != nil
}

// collect asks a table that nobody copies what has changed.
func (d *disk) collect() {
	if d.local.mover != nil {
		return
	}
	for _, c := range d.local.table.Changes(d.local.clock.now()) {
		d.add(c.Partition, c.State)
	}
}

func (d *disk) encoded(all map[string]*bucket.State) iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		now := d.local.clock.now()
		for key, s := range all {
			if value, err := d.entry(s, now); err == nil && !yield([]byte(key), value) {
				return
			}
		}
	}
}

// everything is all that is kept: what is here, copies of others, and for a while what
// was found at the start.
func (d *disk) everything() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		for p := range uint32(ring.Partitions) {
			now, all := d.local.clock.now(), map[string]*bucket.State{}
			if s := d.restored[p]; s != nil && time.Since(d.began) < restoredFor {
				maps.Insert(all, entries(p, s))
			}
			maps.Insert(all, entries(p, d.partition(p, now)))
			for key, s := range all {
				value, err := d.entry(s, now)
				if err == nil && len(value) > 0 && !yield([]byte(key), value) {
					return
				}
			}
		}
	}
}

// partition returns what this node has of a partition, as holder or as a copy.
func (d *disk) partition(p uint32, now bucket.Now) *bucket.State {
	if s := d.local.table.Export(p, now); s != nil {
		return s
	}
	if d.local.mover != nil {
		if s := d.local.mover.replica(p); s != nil {
			return s
		}
	}
	return &bucket.State{}
}

// rejoin brings what was found at the start to where it counts.
func (d *disk) rejoin(m *mover) {
	for p := range uint32(ring.Partitions) {
		if s := d.restored[p]; s != nil {
			m.step(handover.Left{Part: p, Copy: handover.Copy{Gen: handover.Gen(s.Gen), Lineage: s.Lineage, State: s}})
		}
	}
}
