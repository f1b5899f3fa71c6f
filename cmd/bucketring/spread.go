// spread.go brings what an operator puts at one node to all of them. Whatever
// order messages take, the newest word counts: per policy, per list of overrides,
// and per row of a table.

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring/transport"
)

// Kinds of notices between nodes.
const (
	noticePolicy    = "policy"
	noticeOverrides = "overrides"
	noticeTable     = "table"
)

// A subject is what a notice is about.
type subject struct{ kind, namespace, name string }

// A word is what was said of a subject, and when. A policy and a list of overrides
// are Text. A table is Rows; with Since, rows that are older than that are gone,
// also those of files.
type word struct {
	Version int64          `json:"version"`
	Text    []byte         `json:"text,omitempty"`
	Since   int64          `json:"since,omitempty"`
	Rows    map[string]row `json:"rows,omitempty"`
}

// A row is what was said of one row; without fields it is deleted.
type row struct {
	Version int64             `json:"version"`
	Fields  map[string]string `json:"fields"`
}

// merged joins two words about one subject: commutative, associative, idempotent.
func (w word) merged(o word) word {
	if o.Version > w.Version || o.Version == w.Version && bytes.Compare(o.Text, w.Text) > 0 {
		w.Version, w.Text = o.Version, o.Text
	}
	if w.Rows == nil && o.Rows == nil {
		return w
	}
	rows := maps.Clone(w.Rows)
	if rows == nil {
		rows = map[string]row{}
	}
	for key, r := range o.Rows {
		if had, ok := rows[key]; !ok || r.newer(&had) {
			rows[key] = r
		}
	}
	w.Since = max(w.Since, o.Since)
	maps.DeleteFunc(rows, func(_ string, r row) bool { return r.Version < w.Since })
	w.Rows = rows
	return w
}

// forgetDeleted drops the marks of rows that were deleted so long ago that every
// node has heard of it.
func (w word) forgetDeleted(now time.Time) {
	maps.DeleteFunc(w.Rows, func(_ string, r row) bool {
		return r.Fields == nil && r.Version < now.Add(-deletedFor).UnixNano()
	})
}

const (
	// deletedFor is how long a deleted row is remembered: a node that was away for
	// longer may bring it back.
	deletedFor = 24 * time.Hour
	// ahead is how far in the future a word may be: clocks differ, but not so much.
	ahead = time.Hour
)

// believable reports whether a word's versions can be true.
func (w word) believable(now time.Time) bool {
	most := now.Add(ahead).UnixNano()
	for _, r := range w.Rows {
		if r.Version > most {
			return false
		}
	}
	return w.Version <= most && w.Since <= most
}

func (r *row) newer(had *row) bool {
	if r.Version != had.Version {
		return r.Version > had.Version
	}
	return fmt.Sprint(r.Fields) > fmt.Sprint(had.Fields) // any order will do, if all have the same
}

// fields are the rows as policy.Set takes them; nil for those that are deleted.
func (w word) fields() map[string]map[string]string {
	all := make(map[string]map[string]string, len(w.Rows))
	for key, r := range w.Rows {
		all[key] = r.Fields
	}
	return all
}

// A spreader knows what was put, here or elsewhere, and tells the others.
type spreader struct {
	tell func(context.Context, []transport.Notice) error // nil for a node that stays alone
	wake chan struct{}                                   // one slot: there are members who may not know

	mu    sync.Mutex
	known map[subject]word // guarded by mu
	last  int64            // highest version seen; guarded by mu
}

func newSpreader() *spreader {
	return &spreader{wake: make(chan struct{}, 1), known: map[subject]word{}}
}

// version returns the next version: the time, but above all that were seen.
func (s *spreader) version() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last+1, time.Now().UnixNano())
	return s.last
}

// hear joins a word to what is known and returns what is known then.
func (s *spreader) hear(about subject, w word) word {
	s.mu.Lock()
	defer s.mu.Unlock()
	w = s.known[about].merged(w)
	w.forgetDeleted(time.Now())
	s.known[about] = w
	s.last = max(s.last, w.Version, w.Since)
	for _, r := range w.Rows {
		s.last = max(s.last, r.Version)
	}
	return w
}

// would returns what would be known if a word were heard.
func (s *spreader) would(about subject, w word) word {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[about].merged(w)
}

// notices are what is known about some subjects; all if there are none.
func (s *spreader) notices(about ...subject) ([]transport.Notice, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(about) == 0 {
		about = slices.Collect(maps.Keys(s.known))
	}
	// Overrides need their policy, so policies come first.
	slices.SortFunc(about, func(a, b subject) int { return cmp.Compare(noticeOrder(a.kind), noticeOrder(b.kind)) })
	var all []transport.Notice
	for _, a := range about {
		text, err := json.Marshal(s.known[a])
		if err != nil {
			return nil, err
		}
		all = append(all, transport.Notice{Kind: a.kind, Namespace: a.namespace, Name: a.name, Text: text})
	}
	return all, nil
}

func noticeOrder(kind string) int {
	return slices.Index([]string{noticePolicy, noticeTable, noticeOverrides}, kind)
}

const (
	// spreadWithin is how long a put waits for the other nodes. Those that are away
	// are told later.
	spreadWithin = 2 * time.Second
	// spreadEvery repairs what was lost on its way.
	spreadEvery = 30 * time.Second
)

// spread tells the other nodes, about everything if nothing is named.
func (s *spreader) spread(ctx context.Context, about ...subject) error {
	notices, err := s.notices(about...)
	if err != nil || len(notices) == 0 || s.tell == nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, spreadWithin)
	defer cancel()
	return s.tell(ctx, notices)
}

// run tells new members, and all of them now and then, until ctx is done.
func (s *spreader) run(ctx context.Context) error {
	again := time.NewTicker(spreadEvery)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.wake:
		case <-again.C:
		}
		_ = s.spread(ctx) // who did not hear is told again
	}
}

// changed says that the members are others now.
func (s *spreader) changed() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}
