// keyfile.go changes the gossip keys in the text of a key file, one step of a rotation at a
// time.

package member

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A KeyFile is the text of a key file that is being changed. Its comments stay.
type KeyFile struct {
	keys  Keys
	name  string
	lines []string
	at    []int // which lines have the gossip keys
}

// EditKeys begins to change the text of a key file; name is for errors.
func EditKeys(name, text string) (*KeyFile, error) {
	keys, err := ParseKeys(name, text)
	if err != nil {
		return nil, err
	}
	f := &KeyFile{name: name, keys: keys, lines: slices.Collect(strings.Lines(text))}
	f.lines[len(f.lines)-1] = strings.TrimSuffix(f.lines[len(f.lines)-1], "\n") + "\n"
	for i, line := range f.lines {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == "gossip" {
			f.at = append(f.at, i)
		}
	}
	return f, nil
}

// Text returns the text as it is now.
func (f *KeyFile) Text() string { return strings.Join(f.lines, "") }

// Keys are those of the text as it is now.
func (f *KeyFile) Keys() Keys { return f.keys }

// Add adds a new key behind the others: from it on, nodes can decrypt with it.
func (f *KeyFile) Add() error {
	return f.become(slices.Insert(slices.Clone(f.lines), f.at[len(f.at)-1]+1, newLine("gossip")))
}

// Use puts a key, named by its number from 1 or by its fingerprint, in front of the others:
// nodes encrypt with it then.
func (f *KeyFile) Use(which string) error {
	i, err := f.find(which)
	if err != nil {
		return err
	}
	key := f.lines[f.at[i]]
	lines := slices.Delete(slices.Clone(f.lines), f.at[i], f.at[i]+1)
	return f.become(slices.Insert(lines, f.at[0], key))
}

// Remove takes a key out that does not encrypt.
func (f *KeyFile) Remove(which string) error {
	i, err := f.find(which)
	switch {
	case err != nil:
		return err
	case len(f.at) == 1:
		return fmt.Errorf("%s has no other gossip key than %s: add one, have all nodes take it in, use it, and remove this one then", f.name, f.prints()[i])
	case i == 0:
		return fmt.Errorf("gossip key %s encrypts: use another one of %s first, and remove this one when all nodes have taken that in", f.prints()[i], f.name)
	}
	return f.become(slices.Delete(slices.Clone(f.lines), f.at[i], f.at[i]+1))
}

// become makes lines the text, which must be a good one.
func (f *KeyFile) become(lines []string) error {
	next, err := EditKeys(f.name, strings.Join(lines, ""))
	if err == nil {
		*f = *next
	}
	return err
}

func (f *KeyFile) prints() []string { return f.keys.Prints() }

// find returns the index of a gossip key.
func (f *KeyFile) find(which string) (int, error) {
	prints := f.prints()
	if i := slices.Index(prints, strings.ToLower(which)); i >= 0 {
		return i, nil
	}
	if n, err := strconv.Atoi(which); err == nil && 1 <= n && n <= len(prints) {
		return n - 1, nil
	}
	for i := range prints {
		prints[i] = fmt.Sprintf("%d %s", i+1, prints[i])
	}
	return 0, errors.New("there is no gossip key " + strconv.Quote(which) + " in " + f.name + ", which has " + strings.Join(prints, ", ") + ": name one by its number or fingerprint")
}
