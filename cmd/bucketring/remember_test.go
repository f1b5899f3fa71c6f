package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/cluster"
)

func memberAt(addr string, state cluster.State) cluster.Member {
	return cluster.Member{Name: addr, Addr: addr, State: state}
}

// Who is here comes first, who was seen before stays behind, and the oldest go.
func TestRemembered(t *testing.T) {
	var before []netip.AddrPort
	for i := range mostKnown {
		before = append(before, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 7752))
	}
	self := memberAt("10.9.9.9:1", cluster.StateActive)
	self.Self = true
	got := remembered(before, []cluster.Member{
		self, memberAt("10.0.0.5:7752", cluster.StateActive), memberAt("10.1.0.1:7752", cluster.StateJoining),
		memberAt("10.1.0.2:7752", cluster.StateDead), memberAt("10.1.0.3:7752", cluster.StateLeft), memberAt("", cluster.StateActive),
	})
	if len(got) != mostKnown || got[0].String() != "10.0.0.5:7752" || got[1].String() != "10.1.0.1:7752" || got[2] != before[0] {
		t.Errorf("remembered = %v, want %d with those that are here in front", got, mostKnown)
	}
	if last := before[mostKnown-1]; slices.Contains(got, last) || !slices.Contains(got, before[mostKnown-2]) {
		t.Errorf("remembered = %v, want all from before but %v", got, last)
	}
	if again := remembered(got, []cluster.Member{memberAt("10.1.0.1:7752", cluster.StateActive), memberAt("10.0.0.5:7752", cluster.StateActive)}); !slices.Equal(again, got) {
		t.Errorf("remembered again = %v, want the same: %v", again, got)
	}
}

func TestMembersFileThatIsBad(t *testing.T) {
	for _, text := range []string{"{", `{"gossip":["10.0.0.1"]}`, `{"gossip":["10.0.0.1:0"]}`, `{"gossip":[""]}`, `{"gossip":7}`, ""} {
		dir := t.TempDir()
		name := filepath.Join(dir, knownMembers)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var log strings.Builder
		m := openMemory(dir, slog.New(slog.NewTextHandler(&log, nil)))
		aside, err := os.ReadFile(name + ".bad")
		if len(m.addrs) > 0 || err != nil || string(aside) != text || !strings.Contains(log.String(), "put aside") {
			t.Errorf("%q: %v, %v, log %q, want nothing, the file aside, and to be told", text, m.addrs, err, log.String())
		}
		m.learn([]cluster.Member{memberAt("10.0.0.1:7752", cluster.StateActive)})
		if again := openMemory(dir, slog.New(slog.DiscardHandler)); len(again.addrs) != 1 {
			t.Errorf("%q: afterwards %v is known, want one", text, again.addrs)
		}
	}
}

// A node whose only seed is gone finds, after a restart, whom it knew.
func TestKnownMembersAreSeeds(t *testing.T) {
	t.Parallel()
	disk := t.TempDir()
	args := []string{"--data-dir", disk, "--cluster-bootstrap-after", "20s"}
	nodes, join := startCluster(t, 2)
	args = append(args, join...)
	third := startNode(t, "n3", args...)
	awaitOneRing(t, slack, nodes[0], nodes[1], third)
	await(t, slack, func() error {
		var f membersFile
		text, err := os.ReadFile(filepath.Join(disk, knownMembers))
		if err == nil {
			err = json.Unmarshal(text, &f)
		}
		if err != nil || len(f.Gossip) != 2 {
			return fmt.Errorf("%s has %s, %v, want two addresses", knownMembers, text, err)
		}
		return nil
	})
	third.kill()
	seed := nodes[0]
	seed.kill()
	again := startNode(t, "n3", args...)
	awaitOneRing(t, slack, nodes[1], again)
	if text := again.log(); strings.Contains(text, "going on alone") || !strings.Contains(text, "seed not reached") {
		t.Errorf("n3 did not find n2 by what it knew; its log:\n%s", text)
	}
}
