//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package access

import (
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives f the owner and the group that another file has, if it has others.
func keepOwner(f *os.File, of fs.FileInfo) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	had, ok1 := info.Sys().(*syscall.Stat_t)
	want, ok2 := of.Sys().(*syscall.Stat_t)
	if !ok1 || !ok2 || had.Uid == want.Uid && had.Gid == want.Gid {
		return nil
	}
	return f.Chown(int(want.Uid), int(want.Gid))
}
