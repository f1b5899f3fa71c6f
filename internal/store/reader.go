// reader.go reads all that can be trusted in one file.

package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// searchBudget bounds the bytes that are looked at for the next whole batch in a
// damaged file. Bytes that are made to look like batches could cost the square of
// their number otherwise.
const searchBudget = 128 << 20

var errSearch = errors.New("too much damage to search for what is whole")

// contents are what was read of one file.
type contents struct {
	records []Record // of all whole batches, in order
	newest  int64    // unix ms of the newest of them
	size    int64    // of the file
	good    int64    // end of the last whole batch, or of the header, or 0
	gaps    int      // stretches that hold no whole batch, with one behind them
	ended   bool     // the file is whole and has its end batch: a snapshot
	err     error    // why the rest, or all, could not be read
}

// torn reports whether the file is what a crash leaves: good at first, and
// nothing whole behind that.
func (c *contents) torn() bool { return c.err == nil && c.gaps == 0 && c.good < c.size }

// whole reports whether every byte is part of a whole batch.
func (c *contents) whole() bool { return c.err == nil && c.gaps == 0 && c.good == c.size }

// damage says what is wrong with a file.
func (c *contents) damage() error {
	switch {
	case c.err != nil:
		return c.err
	case c.gaps > 0:
		return fmt.Errorf("bad batches in %d places", c.gaps)
	case c.good < c.size:
		return fmt.Errorf("no batch after byte %d", c.good)
	}
	return errors.New("no end batch")
}

// A reader steps through the batches of a file. It needs memory for one batch
// beside what it returns, whatever size the file claims to have.
type reader struct {
	contents
	f      File
	salt   uint64
	window []byte // bytes of the file
	at     int64  // where window begins
	budget int64  // left of searchBudget
}

// read reads the file of that number. Nothing in a file makes it fail: contents
// say what was wrong.
func read(f File, number, label uint64) contents {
	r := &reader{f: f, budget: searchBudget}
	if r.size, r.err = f.Size(); r.err == nil {
		r.err = r.readAll(number, label)
	}
	return r.contents
}

func (r *reader) readAll(number, label uint64) error {
	if r.size < headerSize {
		return nil // torn at birth
	}
	b, err := r.bytes(0, headerSize)
	if err != nil {
		return err
	}
	h, err := parseHeader(b, number, label)
	if err != nil {
		return err
	}
	r.salt, r.good = h.salt, headerSize
	for off := r.good; off < r.size; {
		n, err := r.batch(off)
		if err != nil {
			return err
		}
		if n > 0 {
			off += n
			r.good = off
			continue
		}
		if off, err = r.search(off + 1); err != nil || off < 0 {
			return err
		}
		r.gaps++
	}
	return nil
}

// batch takes the records of the batch at off. It returns the batch's length, 0
// if there is no whole one. Only then is memory taken for it.
func (r *reader) batch(off int64) (int64, error) {
	b, err := r.verified(off)
	if b == nil || err != nil {
		return 0, err
	}
	count := binary.LittleEndian.Uint32(b[16:])
	if count == endCount {
		total := binary.LittleEndian.Uint64(b[batchHead:])
		r.ended = total == uint64(len(r.records)) && off+int64(len(b)) == r.size
		return int64(len(b)), nil
	}
	records, ok := parseRecords(r.records, bytes.Clone(b[batchHead:]), count)
	if !ok {
		return 0, nil
	}
	r.records = records
	r.newest = max(r.newest, int64(binary.LittleEndian.Uint64(b[8:])))
	return int64(len(b)), nil
}

// verified returns the bytes of the batch at off, nil if its checksum is wrong.
func (r *reader) verified(off int64) ([]byte, error) {
	if r.size-off < batchHead {
		return nil, nil
	}
	head, err := r.bytes(off, batchHead)
	if err != nil {
		return nil, err
	}
	n, ok := batchLength(head, r.size-off)
	if !ok {
		return nil, nil
	}
	r.budget -= int64(n)
	b, err := r.bytes(off, n)
	if err != nil || batchCRC(r.salt, off, b) != binary.LittleEndian.Uint32(b[4:]) {
		return nil, err
	}
	r.budget += int64(n) // only what is in vain counts
	return b, nil
}

// search returns where the next whole batch begins, -1 if there is none.
func (r *reader) search(off int64) (int64, error) {
	for off+batchHead <= r.size {
		if _, err := r.bytes(off, batchHead); err != nil {
			return 0, err
		}
		skip, ok := candidate(r.window[off-r.at:])
		off += int64(skip)
		if r.budget -= int64(skip) + 1; r.budget < 0 {
			return 0, errSearch
		}
		if !ok {
			continue
		}
		if b, err := r.verified(off); b != nil || err != nil {
			return off, err
		}
		off++
	}
	return -1, nil
}

// candidate returns the first place in b that may be a head, judged by its time:
// no batch is from before 1970 or after 2248. That spares most checksums. If there
// is none, it returns the first place that it could not judge.
func candidate(b []byte) (int, bool) {
	last := len(b) - batchHead
	for i := 0; i <= last; i++ {
		if b[i+15] != 0 || b[i+14] != 0 {
			continue
		}
		ms := binary.LittleEndian.Uint64(b[i+8:])
		if ms > 0 && ms < 1<<43 {
			return i, true
		}
		if ms == 0 {
			i += zeros(b[i+8:]) // what begins in there has no time, or no length
		}
	}
	return last + 1, false
}

// zeros returns how many zeros b begins with, in whole blocks: lost pages are long.
func zeros(b []byte) (n int) {
	var block [512]byte
	for len(b)-n >= len(block) && bytes.Equal(b[n:][:len(block)], block[:]) {
		n += len(block)
	}
	return n
}

// bytes returns n bytes at off, valid until the next call. The file has them, as
// its size says.
func (r *reader) bytes(off int64, n int) ([]byte, error) {
	if off < r.at || off+int64(n) > r.at+int64(len(r.window)) {
		size := min(int64(max(n, batchSize)), r.size-off)
		if int64(cap(r.window)) < size {
			r.window = make([]byte, size)
		}
		r.window, r.at = r.window[:size], off
		got, err := r.f.ReadAt(r.window, off)
		if got < n {
			r.window = r.window[:0]
			return nil, shortRead(err)
		}
		r.window = r.window[:got]
	}
	return r.window[off-r.at:][:n], nil
}

// shortRead names the error of a read that came short.
func shortRead(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
