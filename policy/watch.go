// watch.go sees files change. A folder that Kubernetes makes of a ConfigMap changes
// when a link in it is swapped, and a watch on a file would die with the file: so
// it is folders that are watched, and what counts is what the files say.

package policy

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Watch loads path again when its files say something else, and calls changed with
// what Load returns, until ctx is done; then it returns nil. It runs in its
// caller's goroutine, and so does changed. Files that change while they already
// have what opt.Known has, or what they had at the start, change nothing. What
// comes from kick, a channel for the error of Load or nil, forces a load.
func Watch(ctx context.Context, path string, opt Options, kick <-chan chan<- error, changed func(*Set, error)) error {
	w := watcher{path: path, opt: opt, changed: changed, quiet: quietFor, most: mostFor, poll: pollEvery}
	return w.run(ctx, kick)
}

const (
	quietFor  = 250 * time.Millisecond // an editor writes more than once
	mostFor   = 600 * time.Millisecond // but not for ever
	pollEvery = 30 * time.Second       // a net for what no event tells
	// blindEvery is how often files are read on systems that tell nothing.
	blindEvery = time.Second
)

// A watcher is one call of Watch.
type watcher struct {
	path              string
	opt               Options
	changed           func(*Set, error)
	quiet, most, poll time.Duration
	blind             bool // do not ask the system

	notify *fsnotify.Watcher // nil if the system has none to give
	last   digestSum
}

func (w *watcher) run(ctx context.Context, kick <-chan chan<- error) error {
	var events chan fsnotify.Event
	var lost chan error
	if !w.blind {
		if notify, err := fsnotify.NewWatcher(); err == nil {
			defer notify.Close()
			w.notify, events, lost = notify, notify.Events, notify.Errors
		}
	}
	if w.notify == nil {
		w.poll = min(w.poll, blindEvery)
	}
	w.begin()
	calm, late := stopped(), stopped()
	defer calm.Stop()
	defer late.Stop()
	poll := time.NewTicker(w.poll)
	defer poll.Stop()
	waiting := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case done := <-kick:
			err := w.look(true)
			select {
			case done <- err:
			case <-ctx.Done():
			}
		case <-events:
			calm.Reset(w.quiet)
			if !waiting {
				late.Reset(w.most)
			}
			waiting = true
			continue
		case <-lost:
			_ = w.look(false) // events were dropped
		case <-calm.C:
			_ = w.look(false)
		case <-late.C:
			_ = w.look(false)
		case <-poll.C:
			_ = w.look(false)
		}
		calm.Stop()
		late.Stop()
		waiting = false
	}
}

// stopped returns a timer that does not run yet.
func stopped() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// begin looks for the first time. Folders are watched first, so that nothing
// changes unseen between the two.
func (w *watcher) begin() {
	all := readFiles(w.path, w.opt.Closed)
	w.follow(&all)
	if w.opt.Known != nil {
		w.last = w.opt.Known.sum
		_ = w.look(false)
		return
	}
	all = readFiles(w.path, w.opt.Closed)
	w.last = all.sum()
}

// look loads the files if they say something new, or if it must. changed takes
// the error too.
func (w *watcher) look(must bool) error {
	all := readFiles(w.path, w.opt.Closed)
	w.follow(&all)
	sum := all.sum()
	if sum == w.last && !must {
		return nil
	}
	w.last = sum
	set, err := all.load(w.opt)
	w.changed(set, err)
	return err
}

// follow watches the folders that matter now.
func (w *watcher) follow(all *contents) {
	if w.notify == nil {
		return
	}
	folders := foldersOf(all)
	had := w.notify.WatchList()
	for _, folder := range had {
		if !slices.Contains(folders, folder) {
			_ = w.notify.Remove(folder)
		}
	}
	for _, folder := range folders {
		if !slices.Contains(had, folder) {
			_ = w.notify.Add(folder) // if it went away, there is nothing to see
		}
	}
}

// foldersOf lists the folders in which a change can change what is read: those
// with the files, and those with links on the way to them.
func foldersOf(all *contents) []string {
	t := trail{seen: map[string]bool{}}
	path, err := filepath.Abs(all.path)
	if err != nil {
		return nil
	}
	t.follow(path)
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		t.add(path)
	}
	for _, f := range all.files {
		if name, err := filepath.Abs(f.name); err == nil {
			t.follow(name)
		}
	}
	return t.folders
}

// A trail is the way to files.
type trail struct {
	folders []string        // without links in their names
	seen    map[string]bool // paths that were followed
}

func (t *trail) add(folder string) {
	if real, err := filepath.EvalSymlinks(folder); err == nil && !slices.Contains(t.folders, real) {
		t.folders = append(t.folders, real)
	}
}

// follow adds the folder of path, and the folders of all links on the way.
func (t *trail) follow(path string) {
	t.add(filepath.Dir(path))
	for at := path; at != filepath.Dir(at) && !t.seen[at]; at = filepath.Dir(at) {
		t.seen[at] = true
		to, err := os.Readlink(at)
		if err != nil {
			continue // no link
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(at), to)
		}
		t.add(filepath.Dir(at))
		t.follow(to)
	}
}
