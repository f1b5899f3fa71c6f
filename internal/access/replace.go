// replace.go gives files that prove something another text, and loses no change and no reader.

package access

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace gives a file the text that next returns. Next runs while nobody else changes the
// file by Replace, so it reads the file itself; after its error all stays as it is. Others
// see the old file or the new one, never a part. A link stays one, and the file keeps its
// owner and mode, or is not changed; one that was not there is for its owner alone.
//
// What keeps two apart is FILE.new. It is an error, not a wait, if that is there: who was
// interrupted left it, and nobody can tell.
func Replace(name string, next func() ([]byte, error)) error {
	real, err := target(name)
	if err != nil {
		return err
	}
	half := real + ".new"
	f, err := os.OpenFile(half, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists: somebody is changing the file right now, or was interrupted: remove it then", half)
	}
	if err != nil {
		return err
	}
	err = errors.Join(fill(f, name, real, next), f.Close())
	if err == nil {
		err = os.Rename(half, real)
	}
	if err != nil {
		return errors.Join(err, os.Remove(half))
	}
	return nil
}

// target returns the file that a name leads to over links. It need not be there, but a link
// to nothing is a mistake.
func target(name string) (string, error) {
	real, err := filepath.EvalSymlinks(name)
	if !errors.Is(err, fs.ErrNotExist) {
		return real, err
	}
	if _, err := os.Lstat(name); err == nil {
		return "", fmt.Errorf("%s is a link to a file that does not exist: remove the link, or name the file", name)
	}
	return name, nil
}

// fill writes the next text of a file, which is real, to f, and makes f its owner's first.
func fill(f *os.File, name, real string, next func() ([]byte, error)) error {
	text, err := next()
	if err != nil {
		return err
	}
	info, err := os.Stat(real)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		if err := errors.Join(keepOwner(f, info), f.Chmod(info.Mode().Perm())); err != nil {
			return fmt.Errorf("%s must stay its owner's: change it as that user, or as root: %w", name, err)
		}
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync())
}
