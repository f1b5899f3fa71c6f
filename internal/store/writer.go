// writer.go writes the batches of one file.

package store

import (
	"encoding/binary"
	"io"
	"time"
)

// A writer collects records and writes them in batches. The header goes out with
// the first batch, so a new log costs no write of its own.
type writer struct {
	f     File
	salt  uint64
	size  int64  // bytes written; the file's length unless a write failed
	buf   []byte // the header if it is not written, and the batch being collected
	start int    // of that batch in buf
	count uint32 // records in it
}

func newWriter(f File, h header) *writer {
	w := &writer{f: f, salt: h.salt, buf: h.append(nil)}
	w.begin()
	return w
}

// begin begins a batch behind what is in buf.
func (w *writer) begin() {
	w.start, w.count = len(w.buf), 0
	w.buf = append(w.buf, make([]byte, batchHead)...)
}

// add puts a record into the batch. A batch that would grow too long is written
// first.
func (w *writer) add(r Record) error {
	if len(w.buf)-w.start+recordSize(r) > batchSize {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.buf = appendRecord(w.buf, r)
	w.count++
	return nil
}

// flush writes the batch, if there is one, with one write.
func (w *writer) flush() error {
	if w.count == 0 {
		return nil
	}
	return w.write(w.count)
}

// end writes the batch and the mark that total records came before it.
func (w *writer) end(total uint64) error {
	if err := w.flush(); err != nil {
		return err
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, total)
	return w.write(endCount)
}

func (w *writer) write(count uint32) error {
	ms := max(1, time.Now().UnixMilli())
	sealBatch(w.buf[w.start:], w.salt, w.size+int64(w.start), ms, count)
	n, err := w.f.Write(w.buf)
	if err == nil && n < len(w.buf) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return err
	}
	w.reset(w.size + int64(n))
	return nil
}

// reset drops what was collected and goes on at size.
func (w *writer) reset(size int64) {
	w.size, w.buf = size, w.buf[:0]
	w.begin()
}
