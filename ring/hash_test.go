package ring_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring/ring"
)

func TestSettingsTextSaysTheConstants(t *testing.T) {
	// A constant that changes without its text lets two rings meet unnoticed.
	want := fmt.Sprintf("bucketring-ring-1|%d|%d|%.2f|xxhash64|consistent-1.0.0|key-1", ring.Partitions, ring.Replicas, ring.Load)
	if ring.Settings != want {
		t.Errorf("settings = %q, want %q", ring.Settings, want)
	}
	mod, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if line := "github.com/buraksezer/consistent v1.0.0\n"; !strings.Contains(string(mod), line) {
		t.Errorf("go.mod lacks %q: another version places keys elsewhere", line)
	}
}

func TestKeyCarriesLengths(t *testing.T) {
	// Every list of parts must look different to the hash.
	var p ring.Placer
	seen := map[uint64]string{}
	for _, parts := range [][2]string{
		{"", ""}, {"a", ""}, {"", "a"}, {"ab", "c"}, {"a", "bc"}, {"abc", ""}, {"", "abc"}, {"a\x01b", "c"}, {"a", "\x01bc"},
		{"\x00", ""}, {"", "\x00"}, {strings.Repeat("a", 127), "a"}, {strings.Repeat("a", 128), ""}, {strings.Repeat("a", 2000), "b"},
	} {
		h := p.Key(parts[0], parts[1])
		if other, ok := seen[h]; ok {
			t.Errorf("Key(%q) = Key(%s), want two hashes", parts, other)
		}
		seen[h] = fmt.Sprintf("%q", parts)
	}
}

func TestKeyIsTheSumOfTheLengthPrefixedParts(t *testing.T) {
	p := ring.Placer{Seed: 42}
	long := strings.Repeat("k", 600) // together beyond the buffer on the stack
	tests := []struct{ namespace, value, encoded string }{
		{"", "", "\x00\x00\x00\x00"},
		{"ns", "v", "\x00\x02ns\x00\x01v"},
		{"", long, "\x00\x00\x02\x58" + long},
		{long, long, "\x02\x58" + long + "\x02\x58" + long},
	}
	for _, tt := range tests {
		if got, want := p.Key(tt.namespace, tt.value), p.Sum64([]byte(tt.encoded)); got != want {
			t.Errorf("Key(%.9q, %.9q) = %x, want %x", tt.namespace, tt.value, got, want)
		}
	}
}

func TestSum64MixesTheSeedWithMurmur3(t *testing.T) {
	// fmix64 of 1 is published; seed XOR xxhash64("") = 1 leads there.
	empty := xxhash.Sum64(nil)
	if empty != 0xef46db3751d8e999 { // the vector of the xxHash specification
		t.Fatalf("xxhash64(\"\") = %x, want ef46db3751d8e999", empty)
	}
	if got := (ring.Placer{Seed: empty}).Sum64(nil); got != 0 {
		t.Errorf("Sum64 of input 0 = %x, want 0", got)
	}
	if got, want := (ring.Placer{Seed: empty ^ 1}).Sum64(nil), uint64(0xb456bcfc34c2cb2c); got != want {
		t.Errorf("Sum64 of input 1 = %x, want %x", got, want)
	}
}

func TestPartitionIsTheLibrarysPartition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		placer := ring.Placer{Seed: rapid.Uint64().Draw(t, "seed")}
		c := consistent.New(nil, consistent.Config{Hasher: placer, PartitionCount: ring.Partitions})
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		if got, want := ring.Partition(placer.Sum64(key)), c.FindPartitionID(key); int(got) != want {
			t.Fatalf("Partition of %q = %d, want %d", key, got, want)
		}
	})
}

func TestSecretSeedSpreadsCraftedKeys(t *testing.T) {
	// Who guesses the seed can fill one partition; under the true one the same
	// keys fall apart.
	guess, secret := ring.Placer{}, ring.Placer{Seed: 0x9e3779b97f4a7c15}
	var crafted []string
	for i := 0; len(crafted) < 60; i++ {
		if key := fmt.Sprintf("account:%d", i); ring.Partition(guess.Key("", key)) == 0 {
			crafted = append(crafted, key)
		}
	}
	count, most := map[uint32]int{}, 0
	for _, key := range crafted {
		p := ring.Partition(secret.Key("", key))
		count[p]++
		most = max(most, count[p])
	}
	if most > 3 { // 4 of 60 random keys meet once in 140,000 seeds
		t.Errorf("of %d keys made to meet, %d meet in one partition under another seed, want at most 3", len(crafted), most)
	}
}

// TestShortKeys: keys are placed alike whichever way their bytes are put together.
func TestShortKeys(t *testing.T) {
	text := strings.Repeat("0123456789abcdef\xff\x00", 8)
	for n := range len(text) {
		value := text[n/3 : n/3+min(n, len(text)-n/3)]
		b := []byte{0, 0, byte(len(value) >> 8), byte(len(value))}
		if got, want := (ring.Placer{Seed: 7}).Key("", value), (ring.Placer{Seed: 7}).Sum64(append(b, value...)); got != want {
			t.Errorf("Key(%q) = %x, want %x", value, got, want)
		}
	}
}
