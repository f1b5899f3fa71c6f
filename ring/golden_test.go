// golden_test.go compares placement with files. A changed line is a cluster
// break: nodes of the old and the new build would disagree on who owns a key.

package ring_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/bucketring/bucketring/ring"
)

var update = flag.Bool("update", false, "rewrite the files in testdata; read the diff before you commit it")

func TestGoldenOwners(t *testing.T) {
	for _, n := range []int{1, 3, 5} {
		for _, seed := range []uint64{0, 0x0123456789abcdef} {
			r := build(t, seed, "n1", members(n))
			checkGolden(t, fmt.Sprintf("owners-%d-seed-%x.txt", n, seed), describe(r))
		}
	}
}

// describe writes the fingerprint, the shares, a hash of the whole table, and
// the first partitions, so that a diff shows who moved.
func describe(r *ring.Ring) string {
	var b strings.Builder
	fmt.Fprintf(&b, "fingerprint %016x\n", r.Fingerprint)
	for i, owned := range r.Owned() {
		fmt.Fprintf(&b, "member %s owns %d\n", r.Members[i].Name, owned)
	}
	fmt.Fprintf(&b, "owners %016x\n", xxhash.Sum64String(strings.Join(owners(r), "\n")))
	fmt.Fprintf(&b, "successors of n1 %016x\n", xxhash.Sum64String(strings.Join(successors(r), "\n")))
	for p, owner := range owners(r)[:64] {
		fmt.Fprintf(&b, "partition %d %s", p, owner)
		if next, ok := r.Successor(uint32(p)); ok {
			fmt.Fprintf(&b, " then %s", next.Name)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestGoldenHashes(t *testing.T) {
	var b strings.Builder
	fmt.Fprintf(&b, "Placer{}.Settings() = %08x\n", ring.Placer{}.Settings())
	long := strings.Repeat("k", 512)
	for _, seed := range []uint64{0, 1, 0x0123456789abcdef} {
		p := ring.Placer{Seed: seed}
		for _, s := range []string{"", "a", "0:n1", "159:node-11", "\x00\x00\x00\x00\x00\x00\x00\x00", long} {
			fmt.Fprintf(&b, "Placer{%x}.Sum64(%.20q) = %016x\n", seed, s, p.Sum64([]byte(s)))
		}
		for _, s := range [][2]string{{"", ""}, {"", "user:alice"}, {"api", "user:alice"}, {"ab", "c"}, {"a", "bc"}, {"", long}, {long, long}} {
			h := p.Key(s[0], s[1])
			fmt.Fprintf(&b, "Placer{%x}.Key(%.20q, %.20q) = %016x, partition %d\n", seed, s[0], s[1], h, ring.Partition(h))
		}
	}
	checkGolden(t, "hashes.txt", b.String())
}

// checkGolden compares got with a file of testdata and names the first line
// that differs.
func checkGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./ring -update writes it)", err)
	}
	if bytes.Equal(want, []byte(got)) {
		return
	}
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(wantLines), len(gotLines)) {
		if wantLines[i] != gotLines[i] {
			t.Fatalf("%s line %d = %q, want %q: this breaks running clusters", path, i+1, gotLines[i], wantLines[i])
		}
	}
	t.Fatalf("%s has %d lines, want %d", path, len(gotLines), len(wantLines))
}
