// reports.go tells operators of callers for whom a policy has no number: once a
// minute for each, by a name that by itself says nothing of who it is.

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

// reports are what the log is to be told. Beside called, the zero value is empty.
type reports struct {
	called func(key string) string

	mu   sync.Mutex
	told map[report]int64 // when, on the monotonic clock; guarded by mu
	next []report         // guarded by mu
}

// A report is about one caller and one limit.
type report struct {
	limitName
	caller string // as the log calls it
}

// hashedNames calls keys by 8 hexadecimal digits of a hash with a seed of this process.
func hashedNames() func(key string) string {
	seed := maphash.MakeSeed()
	return func(key string) string { return fmt.Sprintf("%08x", uint32(maphash.String(seed, key))) }
}

// note keeps a report, unless the same was made within the last minute.
func (r *reports) note(name limitName, key string, now int64) {
	one := report{name, r.called(key)}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.told == nil || len(r.told) >= maxReported {
		r.told = map[report]int64{}
	}
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
			"limit", one.limit, "caller", one.caller)
	}
}
