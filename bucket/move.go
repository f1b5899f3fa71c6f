// move.go takes partitions out of a table and puts them in, while calls go on.
//
// A charge is in the state that Close returns, or it was not made. Close holds the
// partition's lock: nobody makes a counter or replaces one meanwhile. It says that the
// partition is closed, and then seals each counter and reads it. A charge that swaps
// the word before the seal is read with it; one that comes after fails on the seal,
// waits for the lock, and then finds the partition closed. Calls of several charges hold
// the gate meanwhile, so that all of theirs are in the state, or none.

package bucket

// Here reports whether a partition is here.
func (t *Table) Here(partition uint32) bool { return !t.parts[partition].closed.Load() }

// Enter keeps a partition from being closed until Leave. ok is false if it is not
// here; Leave must not be called then.
func (t *Table) Enter(partition uint32) (ok bool) {
	p := &t.parts[partition]
	p.gate.RLock()
	if p.closed.Load() {
		p.gate.RUnlock()
		return false
	}
	return true
}

// Leave ends what Enter began.
func (t *Table) Leave(partition uint32) { t.parts[partition].gate.RUnlock() }

// Open makes a partition that was closed one that is here, held at a generation of a
// lineage, with the counters of a state and of more; nil has none. Calls see all of them
// or none.
func (t *Table) Open(partition uint32, gen, lineage uint64, s *State, now Now, more ...*State) {
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves.Add(1)
	p.gen, p.lineage, p.seq = gen, lineage, 0
	if all := t.joined(append([]*State{s}, more...), now); all != nil {
		t.joinLocked(p, partition, all, now)
	}
	p.closed.Store(false)
}

// Relabel makes the holder of a partition that is here count for another lineage.
func (t *Table) Relabel(partition uint32, gen, lineage uint64, now Now) {
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seq++; lineage != p.lineage {
		p.eachLocked(func(b *bucket) {
			marks := p.recordLocked(b, now).Marks
			_, others := markOf(marks, lineage)
			p.forkLocked(b, b.rule.remembered(others, now))
		})
	}
	p.gen, p.lineage, p.seq = gen, lineage, 0
}

// Join joins a state into a partition that is here. What was joined before changes
// nothing.
func (t *Table) Join(partition uint32, s *State, now Now) {
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed.Load() {
		t.joinLocked(p, partition, s, now)
	}
}

// Close takes a partition out of the table. Calls find it away from now on, and all
// that were charged are in the state. It is nil if the partition was not here.
func (t *Table) Close(partition uint32, now Now) *State {
	return t.close(partition, now, func(*bucket) bool { return true })
}

// CloseChanged is Close that leaves out counters that were not charged since Open. The
// table is Traced, and its Changes are not asked for.
func (t *Table) CloseChanged(partition uint32, now Now) *State {
	return t.close(partition, now, func(b *bucket) bool { return b.tag.Load()&noted != 0 })
}

func (t *Table) close(partition uint32, now Now, wanted func(*bucket) bool) *State {
	p := &t.parts[partition]
	p.gate.Lock()
	defer p.gate.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moves.Add(1)
	if p.closed.Swap(true) {
		return nil
	}
	p.eachLocked(func(b *bucket) { b.seal() })
	s := p.exportLocked(now, wanted)
	p.eachLocked(func(b *bucket) {
		t.keys.Add(-1)
		t.bytes.Add(-b.size())
	})
	t.leases.Add(-int64(len(p.leases)))
	t.bytes.Add(-leaseSize * int64(len(p.leases)))
	for id := range p.reserved {
		t.forgetLocked(p, id)
	}
	p.slots.Store(nil)
	p.used, p.leases, p.reserved, p.forks = 0, nil, nil, nil
	return s
}

// Export returns all that a partition has. It is nil if the partition is not here.
func (t *Table) Export(partition uint32, now Now) *State {
	p := &t.parts[partition]
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed.Load() {
		return nil
	}
	return p.exportLocked(now, func(*bucket) bool { return true })
}

func (p *part) exportLocked(now Now, wanted func(*bucket) bool) *State {
	s := p.stateLocked()
	p.eachLocked(func(b *bucket) {
		if wanted(b) && (!b.isUnused(now) || len(p.forks[b]) > 0) {
			s.Records = append(s.Records, p.recordLocked(b, now))
		}
	})
	for id, r := range p.reserved {
		s.Reserved = append(s.Reserved, reservedAs(id, r))
	}
	return s
}

// stateLocked begins a state.
func (p *part) stateLocked() *State {
	p.seq++
	return &State{Gen: p.gen, Lineage: p.lineage, Seq: p.seq}
}

// recordLocked returns the record of a bucket: what others have counted of it, and
// what this lineage has.
func (p *part) recordLocked(b *bucket, now Now) Record {
	forks := p.forks[b]
	own := b.rule.unfold(b.total(now), forks, now)
	own.Lineage, own.Gen, own.Seq = p.lineage, p.gen, p.seq
	marks := []Mark{own}
	if len(forks) > 0 {
		marks = JoinMarks(forks, marks)
	}
	return Record{Limit: &b.rule.limit, Key: b.key(), Marks: marks}
}

// eachLocked calls do with each bucket.
func (p *part) eachLocked(do func(*bucket)) {
	slots := p.slots.Load()
	if slots == nil {
		return
	}
	for i := range *slots {
		if b := (*slots)[i].load(); b != nil {
			do(b)
		}
	}
}

func (p *part) forkLocked(b *bucket, forks []Mark) {
	switch {
	case len(forks) == 0:
		delete(p.forks, b)
	case p.forks == nil:
		p.forks = map[*bucket][]Mark{b: forks}
	default:
		p.forks[b] = forks
	}
}
