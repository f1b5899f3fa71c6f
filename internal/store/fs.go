// fs.go is the door to the file system, which tests replace.

package store

import (
	"io"
	"io/fs"
	"os"
)

// An FS is what the store needs of a file system. Names are whole paths. An error
// of a missing file satisfies errors.Is(err, fs.ErrNotExist).
type FS interface {
	// MkdirAll creates a directory and those above it.
	MkdirAll(dir string, perm fs.FileMode) error
	// Lock keeps others out until the result is closed. It does not wait: if
	// another has the lock, it returns ErrLocked.
	Lock(name string) (io.Closer, error)
	// ReadDir returns the names of what is in a directory.
	ReadDir(dir string) ([]string, error)
	// OpenFile is os.OpenFile.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Rename puts from in the place of to.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir makes what was created, renamed and removed in dir survive a power
	// cut.
	SyncDir(dir string) error
}

// A File is an open file.
type File interface {
	io.ReaderAt
	io.Writer // at the end
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Truncate cuts the file to size bytes.
	Truncate(size int64) error
	// Sync makes what was written survive a power cut.
	Sync() error
}

// osFS is the operating system's FS.
type osFS struct{}

func (osFS) MkdirAll(dir string, perm fs.FileMode) error { return os.MkdirAll(dir, perm) }
func (osFS) Rename(from, to string) error                { return os.Rename(from, to) }
func (osFS) Remove(name string) error                    { return os.Remove(name) }

func (osFS) Lock(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, filePerm)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		_ = f.Close() // nothing was written
		return nil, err
	}
	return f, nil
}

func (osFS) ReadDir(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	_ = f.Close() // nothing was written
	return err
}

type osFile struct{ *os.File }

// Sync leaves out the times of the file, which nobody reads.
func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
