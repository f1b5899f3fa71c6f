// kept.go keeps what operators put at run time beyond the process, with --data-dir.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bucketring/bucketring/transport"
)

// keptPuts is the file's name in the folder of --data-dir.
const keptPuts = "puts.json"

// keep writes all that was put, here or elsewhere. A failure is logged: what was put is
// in force, and the other nodes have it.
func (k *keeper) keep() {
	if k.dir == "" {
		return
	}
	k.keeping.Lock()
	defer k.keeping.Unlock()
	notices, err := k.spreader.notices()
	if err == nil {
		err = writeWhole(filepath.Join(k.dir, keptPuts), notices)
	}
	if err != nil {
		k.log.Error("what was put is not on disk", "err", err)
	}
}

// writeWhole replaces a file by one that is complete, or leaves it as it is.
func writeWhole(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}

// recall puts in force what was put before this start. What no longer fits the policies
// is logged and left out.
func (k *keeper) recall() error {
	if k.dir == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(k.dir, keptPuts))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var notices []transport.Notice
	if err == nil {
		err = json.Unmarshal(text, &notices)
	}
	if err != nil {
		return usage(fmt.Errorf("--data-dir: %s: %w: remove the file to start without what was put", keptPuts, err))
	}
	for _, n := range notices {
		if err := k.told(n); err != nil {
			k.log.Error("what was put is not in force", "kind", n.Kind, "policy", n.Namespace, "err", err)
		}
	}
	return nil
}
