// log.go passes memberlist's log lines on to slog, and counts those that have a
// meaning of their own.

package cluster

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// A logWriter is the destination of memberlist's logger: one line a call, such
// as "[WARN] memberlist: text".
type logWriter struct {
	log    *slog.Logger
	counts *counters
}

// Write takes one line. It never fails.
func (w *logWriter) Write(line []byte) (int, error) {
	level, text := slog.LevelInfo, strings.TrimSpace(string(line))
	if tag, rest, ok := strings.Cut(text, "] "); ok && strings.HasPrefix(tag, "[") {
		level, text = levelOf(tag[1:]), strings.TrimPrefix(rest, "memberlist: ")
	}
	// Anyone who can send packets could fill the log with what is counted.
	if counter := w.counterOf(text); counter != nil && level > slog.LevelDebug {
		counter.Add(1)
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, "gossip", "text", text)
	return len(line), nil
}

// levelOf translates memberlist's levels. Its errors are mostly a peer that
// does not answer, which is a warning to us.
func levelOf(tag string) slog.Level {
	switch tag {
	case "DEBUG":
		return slog.LevelDebug
	case "INFO":
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// counterOf returns the counter of a line, or nil. These texts are the only
// sign that memberlist gives.
func (w *logWriter) counterOf(text string) *atomic.Uint64 {
	has := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case has("Decrypt packet failed"), has("no installed keys could decrypt"),
		has("encryption is configured but remote state is not encrypted"),
		has("remote state is encrypted and encryption is not configured"):
		return &w.counts.undecryptable
	case has("with unacceptable label"):
		return &w.counts.otherLabel
	case has("handler queue full"):
		return &w.counts.dropped
	case has("over TCP but UDP probes failed"):
		return &w.counts.tcpOnly
	}
	return nil
}
