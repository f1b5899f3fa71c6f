// closed.go refuses files that others than their owner could change: who writes a policy
// decides who is let through.

package policy

import (
	"io/fs"
	"os"
)

// othersWrite is the permission of everybody to write.
const othersWrite fs.FileMode = 0o002

// checkFile refuses a file that others can write.
func checkFile(name string, info fs.FileInfo) error {
	if info.Mode()&othersWrite != 0 && canChange(name) {
		return openToOthers(name)
	}
	return nil
}

// checkFolders refuses what others could put in the place of the files that were read. In a
// folder with the sticky bit nobody can replace what is not theirs; but what they add to the
// folder that is read as a whole would be read.
func checkFolders(all *contents) error {
	whole, isFolder := os.Stat(all.path)
	for _, name := range foldersOf(all) {
		info, err := os.Stat(name)
		if err != nil || info.Mode()&othersWrite == 0 || !canChange(name) {
			continue // what cannot be read is an error already
		}
		if info.Mode()&fs.ModeSticky == 0 || isFolder == nil && os.SameFile(whole, info) {
			return openToOthers(name)
		}
	}
	return nil
}

func openToOthers(name string) *Error {
	return &Error{File: name, Text: "can be written by others: run: chmod o-w " + name}
}
