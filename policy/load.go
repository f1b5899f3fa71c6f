// load.go reads a file, or all files of a folder.

package policy

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Load reads a file, or the *.yaml and *.yml files of a folder, hidden ones and
// sub-folders apart: policies and lookup tables alike. It returns what loaded, and
// for the rest an error, which is Errors.
func Load(path string, opt Options) (*Set, error) {
	all := readFiles(path, opt.Closed)
	return all.load(opt)
}

// digestSum identifies what was read, names and texts.
type digestSum [sha256.Size]byte

// A content is one file as it was read.
type content struct {
	name string
	text []byte
	err  error
}

// contents are all files of a path.
type contents struct {
	path  string
	files []content
	err   error // the path itself could not be read
}

// readFiles reads the files of a path, and nothing into them. With closed, what others could
// change is an error.
func readFiles(path string, closed bool) contents {
	all := contents{path: path}
	names := []string{path}
	if info, err := os.Stat(path); err != nil {
		all.err = err
		return all
	} else if info.IsDir() {
		if names, all.err = filesOf(path); all.err != nil {
			return all
		}
	}
	for _, name := range names {
		text, err := readFile(name, closed)
		all.files = append(all.files, content{name, text, err})
	}
	if closed {
		all.err = checkFolders(&all)
	}
	return all
}

// filesOf lists the policy files of a folder. Links count as what they lead to,
// as in a folder that Kubernetes makes of a ConfigMap.
func filesOf(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	var names []string
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if strings.HasPrefix(e.Name(), ".") || ext != ".yaml" && ext != ".yml" {
			continue
		}
		name := filepath.Join(folder, e.Name())
		if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
			continue
		}
		names = append(names, name) // reading says what is wrong with a broken link
	}
	return names, err
}

func readFile(name string, closed bool) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if closed {
		info, err := f.Stat()
		if err == nil {
			err = checkFile(name, info)
		}
		if err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, maxFile+1)) // one more shows that it is too much
}

// sum identifies what was read; that something could not be is part of it.
func (all *contents) sum() (sum digestSum) {
	h := sha256.New()
	part := func(b []byte) {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	if all.err != nil {
		part([]byte(all.err.Error()))
	}
	for _, f := range all.files {
		part([]byte(f.name))
		part(f.text)
		if f.err != nil {
			part([]byte(f.err.Error()))
		}
	}
	h.Sum(sum[:0])
	return sum
}

// load makes a set of the files.
func (all *contents) load(opt Options) (*Set, error) {
	s := &Set{
		policies: map[string]*Policy{}, base: map[string]*Policy{}, tables: map[tableName]*table{}, sum: all.sum(),
	}
	if all.err != nil {
		s.failed = []failure{{all: true}}
		return s, Errors{cannotRead(all.path, all.err)}
	}
	var wrong Errors
	var good []*file
	for _, c := range all.files {
		if c.err != nil {
			wrong = append(wrong, cannotRead(c.name, c.err))
			s.failed = append(s.failed, failure{file: c.name})
			continue
		}
		f := read(c.name, c.text, opt)
		if f.err == nil {
			good = append(good, f)
			continue
		}
		wrong = append(wrong, f.err.(Errors)...)
		s.fail(f)
	}
	if opt.MergeDomains {
		var problems Errors
		good, problems = s.mergeDomains(good)
		wrong = append(wrong, problems...)
	}
	wrong = append(wrong, s.unique(good)...)
	maps.Copy(s.policies, s.base)
	return s, wrong.err()
}

// fail notes that a file did not load.
func (s *Set) fail(f *file) {
	lost := failure{file: f.name}
	if !f.isTable {
		lost.namespace = f.namespace
	}
	s.failed = append(s.failed, lost)
}

// cannotRead says in which file the operating system failed, or which one is refused.
func cannotRead(name string, err error) *Error {
	var refused *Error
	if errors.As(err, &refused) {
		return refused
	}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err // its text repeats the name
	}
	return &Error{File: name, Text: fmt.Sprintf("cannot be read: %v", err)}
}

// unique adds files to the set, but for those that say the same thing twice:
// nobody could tell which of them is meant.
func (s *Set) unique(files []*file) (wrong Errors) {
	firsts := map[string]*file{}
	twice := map[*file]bool{}
	for _, f := range files {
		what, id := "namespace "+word(f.namespace), "policy\x00"+f.namespace
		if f.policy != nil && f.policy.domain != nil {
			what = "domain " + word(f.namespace)
		}
		if f.table != nil {
			what = "table " + word(f.table.Table.Value) + " of " + what
			id = "table\x00" + f.namespace + "\x00" + f.table.Table.Value
		}
		first, ok := firsts[id]
		if !ok {
			firsts[id] = f
			continue
		}
		twice[first], twice[f] = true, true
		f.problems.at(f.at, "%s is in %s already: keep one of them", what, first.name)
		wrong = append(wrong, f.problems.err().(Errors)...)
	}
	for _, f := range files {
		switch {
		case twice[f]:
			s.fail(f)
		case f.table != nil:
			s.tables[tableName{f.namespace, f.table.Table.Value}] = newTable(f.name, f.table)
		default:
			s.base[f.namespace] = f.policy
		}
	}
	slices.SortFunc(s.failed, func(a, b failure) int { return cmp.Compare(a.file, b.file) })
	return wrong
}
