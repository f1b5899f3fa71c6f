// reports.go tells operators of callers for whom a policy has no number: once a
// minute for each, by a hash that says nothing of who it is.

package node

import (
	"context"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"time"
)

const (
	reportEvery = time.Minute
	// maxReported bounds the callers that are remembered, maxReports those that are
	// told in one round.
	maxReported = 4096
	maxReports  = 20
)

// reports are what the log is to be told. The zero value is empty.
type reports struct {
	mu   sync.Mutex
	seed maphash.Seed     // of this process; guarded by mu
	told map[report]int64 // when, on the monotonic clock; guarded by mu
	next []report         // guarded by mu
}

// A report is about one caller and one limit.
type report struct {
	limitName
	caller uint32 // a keyed hash of the counter's key
}

// note keeps a report, unless the same was made within the last minute.
func (r *reports) note(name limitName, key string, now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil || len(r.told) >= maxReported {
		r.told = map[report]int64{}
	}
	if r.seed == (maphash.Seed{}) {
		r.seed = maphash.MakeSeed()
	}
	one := report{name, uint32(maphash.String(r.seed, key))}
	if at, ok := r.told[one]; ok && now-at < int64(reportEvery) || len(r.next) >= maxReports {
		return
	}
	r.told[one] = now
	r.next = append(r.next, one)
}

// log tells what was noted since the last time.
func (r *reports) log(ctx context.Context, to *slog.Logger) {
	r.mu.Lock()
	next := r.next
	r.next = nil
	r.mu.Unlock()
	for _, one := range next {
		to.WarnContext(ctx, "policy has no number for a caller's plan: it is denied", "policy", one.namespace,
			"limit", one.limit, "caller", fmt.Sprintf("%08x", one.caller))
	}
}
