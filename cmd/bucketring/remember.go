// remember.go keeps where other nodes were in a file of --data-dir: a node finds them after a
// restart although none of its seeds answers.

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bucketring/bucketring/cluster"
)

const (
	// knownMembers is the file's name in the folder of --data-dir.
	knownMembers = "members.json"
	// mostKnown bounds the addresses in it.
	mostKnown = 32
	// rememberEvery is how often it is written at most.
	rememberEvery = time.Second
)

// A memory is the addresses at which other nodes gossiped, those of members that are here
// first and then those that were seen last. The zero value of path keeps nothing.
type memory struct {
	path  string
	log   *slog.Logger
	wake  chan struct{}    // one slot: the members may be others now
	addrs []netip.AddrPort // belongs to run, once that runs
}

// membersFile is what stands in the file.
type membersFile struct {
	Gossip []netip.AddrPort `json:"gossip"`
}

// openMemory reads what is in the folder dir; an empty one keeps nothing. A file that cannot
// be read is put aside: a node can do without.
func openMemory(dir string, log *slog.Logger) *memory {
	m := &memory{log: log, wake: make(chan struct{}, 1)}
	if dir == "" {
		return m
	}
	m.path = filepath.Join(dir, knownMembers)
	text, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m
	}
	var f membersFile
	if err == nil {
		err = json.Unmarshal(text, &f)
	}
	if err == nil && slices.ContainsFunc(f.Gossip, func(a netip.AddrPort) bool { return !a.IsValid() || a.Port() == 0 }) {
		err = errors.New("an address has no host or no port")
	}
	if err != nil {
		log.Error("known members not read, the file is put aside", "file", m.path, "err", errors.Join(err, os.Rename(m.path, m.path+".bad")))
		return m
	}
	m.addrs = f.Gossip[:min(len(f.Gossip), mostKnown)]
	return m
}

// changed says that the members may be others now.
func (m *memory) changed() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run writes the file when the members are others, until ctx is done.
func (m *memory) run(ctx context.Context, members func() []cluster.Member) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
		if m.path != "" {
			m.learn(members())
		}
		select { // several changes are written once
		case <-ctx.Done():
			return nil
		case <-time.After(rememberEvery):
		}
	}
}

// learn takes the members of now, and writes the file if it says something else then.
func (m *memory) learn(members []cluster.Member) {
	next := remembered(m.addrs, members)
	if slices.Equal(next, m.addrs) {
		return
	}
	if err := writeWhole(m.path, membersFile{next}); err != nil {
		m.log.Error("known members are not on disk", "err", err)
		return
	}
	m.addrs = next
}

// remembered returns the addresses to keep: those of other members that are here, and behind
// them those from before.
func remembered(before []netip.AddrPort, members []cluster.Member) []netip.AddrPort {
	var next []netip.AddrPort
	for _, one := range members {
		addr, err := netip.ParseAddrPort(one.Addr)
		if here := one.State == cluster.StateActive || one.State == cluster.StateJoining; err == nil && here && !one.Self {
			next = append(next, addr)
		}
	}
	slices.SortFunc(next, netip.AddrPort.Compare)
	for _, addr := range before {
		if !slices.Contains(next, addr) {
			next = append(next, addr)
		}
	}
	return next[:min(len(next), mostKnown)]
}
