// disk_test.go is a file system in memory that fails when told to, and that
// forgets at a power cut what was not synced.

package store_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/bucketring/bucketring/internal/store"
)

// A fault says how an operation fails: after it was carried out or without.
type fault struct {
	err  error
	done bool
}

// A disk has one directory, "/data".
type disk struct {
	mu      sync.Mutex
	files   map[string]*inode // by base name, as programs see them
	durable map[string]*inode // as after a power cut
	pending []func(map[string]*inode)
	exists  bool
	locked  bool
	space   int // bytes that fit; 0: no end

	ops  []string // all operations that change something, as "op name"
	hook func(op, name string) fault
}

type inode struct {
	data    []byte
	durable []byte
	lost    int // bytes of data below it that a failed sync gave up
}

func newDisk() *disk {
	return &disk{files: map[string]*inode{}, durable: map[string]*inode{}, exists: true}
}

// clone copies the disk as programs see it.
func (d *disk) clone() *disk {
	c := newDisk()
	for name, f := range d.files {
		c.put(name, f.data)
	}
	return c
}

func (d *disk) put(name string, data []byte) {
	f := &inode{data: slices.Clone(data), durable: slices.Clone(data)}
	d.files[name], d.durable[name] = f, f
}

// names lists the files in order.
func (d *disk) names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(d.files)), func(s string) bool { return s == "LOCK" })
}

// cut is a power cut: of what was not synced, any part may be there.
func (d *disk) cut(rnd *rand.Rand) {
	for _, change := range d.pending[:rnd.IntN(len(d.pending)+1)] {
		change(d.durable)
	}
	d.pending, d.hook, d.locked = nil, nil, false
	d.files = maps.Clone(d.durable)
	for _, f := range d.files {
		f.cut(rnd)
	}
}

func (f *inode) cut(rnd *rand.Rand) {
	least, most := min(len(f.data), len(f.durable)), max(len(f.data), len(f.durable))
	data := make([]byte, least+rnd.IntN(most-least+1))
	for at := 0; at < len(data); at += 16 { // a block of 16 bytes is written or not
		block := data[at:min(at+16, len(data))]
		if at < len(f.durable) {
			copy(block, f.durable[at:])
		}
		if at < len(f.data) && rnd.IntN(2) == 0 {
			copy(block, f.data[at:])
		}
	}
	f.data, f.durable, f.lost = data, slices.Clone(data), 0
}

// begin notes an operation. The caller carries it out unless stop is set.
func (d *disk) begin(op, name string) (err error, stop bool) {
	name = filepath.Base(name)
	d.mu.Lock()
	d.ops = append(d.ops, op+" "+name)
	hook := d.hook
	d.mu.Unlock()
	if hook == nil {
		return nil, false
	}
	f := hook(op, name)
	return f.err, f.err != nil && !f.done
}

func (d *disk) change(f func(map[string]*inode)) {
	f(d.files)
	d.pending = append(d.pending, f)
}

func (d *disk) MkdirAll(string, fs.FileMode) error {
	err, stop := d.begin("mkdir", "")
	d.exists = d.exists || !stop
	return err
}

func (d *disk) Lock(string) (io.Closer, error) {
	if d.locked {
		return nil, store.ErrLocked
	}
	if err, _ := d.begin("lock", "LOCK"); err != nil {
		return nil, err
	}
	d.locked = true
	return unlocker{d}, nil
}

type unlocker struct{ d *disk }

func (u unlocker) Close() error { u.d.locked = false; return nil }

func (d *disk) ReadDir(string) ([]string, error) {
	if err, _ := d.begin("readdir", ""); err != nil {
		return nil, err
	}
	if !d.exists {
		return nil, fs.ErrNotExist
	}
	return slices.Sorted(maps.Keys(d.files)), nil
}

func (d *disk) OpenFile(name string, flag int, _ fs.FileMode) (store.File, error) {
	op := "open"
	if flag&os.O_CREATE != 0 {
		op = "create"
	}
	err, stop := d.begin(op, name)
	if stop {
		return nil, err
	}
	name = filepath.Base(name)
	f, ok := d.files[name]
	switch {
	case ok && flag&os.O_EXCL != 0:
		return nil, fs.ErrExist
	case !ok && flag&os.O_CREATE == 0:
		return nil, fs.ErrNotExist
	case !ok:
		f = &inode{}
		d.change(func(files map[string]*inode) { files[name] = f })
	}
	return &handle{d, f, name}, err
}

func (d *disk) Rename(from, to string) error {
	err, stop := d.begin("rename", to)
	if stop {
		return err
	}
	from, to = filepath.Base(from), filepath.Base(to)
	f, ok := d.files[from]
	if !ok {
		return fs.ErrNotExist
	}
	d.change(func(files map[string]*inode) { delete(files, from); files[to] = f })
	return err
}

func (d *disk) Remove(name string) error {
	err, stop := d.begin("remove", name)
	if stop {
		return err
	}
	name = filepath.Base(name)
	if _, ok := d.files[name]; !ok {
		return fs.ErrNotExist
	}
	d.change(func(files map[string]*inode) { delete(files, name) })
	return err
}

func (d *disk) SyncDir(string) error {
	err, stop := d.begin("syncdir", "")
	if !stop {
		for _, change := range d.pending {
			change(d.durable)
		}
		d.pending = nil
	}
	return err
}

// A handle is an open file.
type handle struct {
	d    *disk
	f    *inode
	name string
}

func (h *handle) Close() error         { return nil }
func (h *handle) Size() (int64, error) { return int64(len(h.f.data)), nil }

func (h *handle) ReadAt(b []byte, off int64) (int, error) {
	if err, stop := h.d.begin("read", h.name); stop {
		return 0, err
	}
	n := copy(b, h.f.data[min(int(off), len(h.f.data)):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

var errShort = errors.New("short, and no error")

// Write writes half of b if it is to fail.
func (h *handle) Write(b []byte) (int, error) {
	err, stop := h.d.begin("write", h.name)
	n := len(b)
	if stop {
		n /= 2
	}
	if h.d.space > 0 && n > h.d.space-h.d.used() {
		n, err = max(0, h.d.space-h.d.used()), syscall.ENOSPC
	}
	h.f.data = append(h.f.data, b[:n]...)
	if errors.Is(err, errShort) {
		err = nil
	}
	return n, err
}

func (d *disk) used() (n int) {
	for _, f := range d.files {
		n += len(f.data)
	}
	return n
}

func (h *handle) Truncate(size int64) error {
	err, stop := h.d.begin("truncate", h.name)
	if !stop {
		h.f.data = h.f.data[:size:size]
		h.f.lost = min(h.f.lost, int(size))
	}
	return err
}

// Sync that fails gives up what it could not write: a later one leaves it out, as
// Linux does.
func (h *handle) Sync() error {
	err, stop := h.d.begin("sync", h.name)
	if stop {
		h.f.lost = len(h.f.data)
		return err
	}
	kept := min(len(h.f.durable), h.f.lost)
	h.f.durable = slices.Concat(h.f.durable[:kept], make([]byte, h.f.lost-kept), h.f.data[h.f.lost:])
	return err
}
