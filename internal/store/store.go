package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
)

var (
	// ErrLocked means that another process, or another Store of this one, has the
	// directory.
	ErrLocked = errors.New("store: the directory is in use by another process: stop it, or choose another directory")
	// ErrClosed means that the Store was closed.
	ErrClosed = errors.New("store: closed")
	// ErrTooLarge means that a record has more than about 16 MiB.
	ErrTooLarge = errors.New("store: record is too large")
)

// A Record is a key and its value, both opaque bytes. An empty Value means that
// the key has none: it deletes the key.
type Record struct{ Key, Value []byte }

// A SyncMode says when written records are made to survive a power cut. What the
// process wrote survives its own end in every mode.
type SyncMode uint8

const (
	SyncInterval SyncMode = iota // each Append syncs; the caller appends now and then
	SyncAlways                   // the same here; the caller appends before it answers
	SyncNever                    // only Snapshot and Close sync
)

// A Config says where and how to store. Dir is required.
type Config struct {
	// Dir is the directory, for this store alone. Open creates it if need be.
	Dir string
	// Sync says when to sync.
	Sync SyncMode
	// Label stands for the cluster. Files with another one are put aside.
	Label uint64
	// MaxLog is the size in bytes at which a log ends and another one begins. 0
	// means 64 MiB.
	MaxLog int64
	// Logger is told what is wrong with files. nil drops it.
	Logger *slog.Logger
	// FS is where the files are. nil means the operating system's.
	FS FS
}

const (
	dirPerm  fs.FileMode = 0o700
	filePerm fs.FileMode = 0o600

	defaultMaxLog = 64 << 20
)

// A Store keeps records on disk. One goroutine uses it; only Stats is for all.
type Store struct {
	cfg  Config
	lock io.Closer
	next uint64 // number of the next file

	snaps    []uint64 // snapshots that are not known to be bad, ascending
	logs     []uint64 // logs that are not known to be bad, ascending
	suspects []string // bad files, until a snapshot has what was read of them

	log      *writer // the log being written; nil: the next append begins one
	good     int64   // length of it that holds acknowledged appends
	logBytes int64   // of all logs since the newest snapshot
	live     int64   // bytes of the live records, at the last Open or Snapshot
	unsure   bool    // something failed since the last snapshot
	closed   bool

	appendErr, snapErr error // of the last of each; nil if it worked

	mu    sync.Mutex // guards stats; never held while a file is used
	stats Stats
}

// Open reads what is in the directory and returns the live records, at most one
// for each key, in no order that means anything. They share memory, and must not
// be changed. An error means that the directory cannot be used; damage to files is
// not an error but logged and counted, and costs what it must.
func Open(cfg Config) (*Store, []Record, error) {
	if cfg.Dir == "" {
		return nil, nil, errors.New("store: Dir is missing")
	}
	if cfg.FS == nil {
		cfg.FS = osFS{}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxLog <= 0 {
		cfg.MaxLog = defaultMaxLog
	}
	s := &Store{cfg: cfg, next: 1}
	if err := s.enter(); err != nil {
		return nil, nil, err
	}
	records, err := s.restore()
	if err != nil {
		_ = s.lock.Close() // the file is empty
		return nil, nil, err
	}
	return s, records, nil
}

// enter makes the directory and locks it.
func (s *Store) enter() error {
	dir := s.cfg.Dir
	if _, err := s.cfg.FS.ReadDir(dir); errors.Is(err, fs.ErrNotExist) {
		err = s.cfg.FS.MkdirAll(dir, dirPerm)
		if err == nil {
			err = s.cfg.FS.SyncDir(filepath.Dir(dir))
		}
		if err != nil {
			return fmt.Errorf("store: create %s: %w", dir, err)
		}
	}
	lock, err := s.cfg.FS.Lock(s.path("LOCK"))
	if err != nil {
		return fmt.Errorf("store: lock %s: %w", dir, err)
	}
	s.lock = lock
	return nil
}

// Close ends the Store and lets others open the directory. What was appended is
// synced, also in SyncNever. The error is of that sync; all is closed anyway.
func (s *Store) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	var err error
	if s.log != nil && s.cfg.Sync == SyncNever {
		err = s.syncLog()
	}
	s.retire()
	_ = s.lock.Close() // the file is empty
	if err != nil {
		return fmt.Errorf("store: close: %w", err)
	}
	return nil
}

func (s *Store) path(name string) string { return filepath.Join(s.cfg.Dir, name) }

// take returns the number of a new file. None is used twice, so a file that could
// not be removed is never taken for another.
func (s *Store) take() uint64 {
	s.next++
	return s.next - 1
}
