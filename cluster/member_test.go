package cluster_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/ring"
)

func exampleRecord() cluster.Record {
	return cluster.Record{
		State: cluster.StateActive, Flags: 1 << 4, Boot: 0x1122334455667788, Seq: 3,
		Settings: 0xaabbccdd, WireMin: 1, WireMax: 2, Policy: 0x0102030405060708,
		PeerPort: 7755, PeerHost: "10.1.2.3", Zone: "eu-1", API: 7751, Key: 0xa0a1a2a3, Keys: 0xb0b1b2b3, Version: "1.2.3",
	}
}

// goodRecord is one that nodes of today accept.
func goodRecord(boot uint64) cluster.Record {
	return cluster.Record{
		State: cluster.StateActive, Boot: boot, Seq: 1, Settings: ring.Placer{}.Settings(),
		WireMin: 1, WireMax: 1, PeerPort: 7755,
	}
}

// The bytes are what nodes of other versions read: a change here is a break of
// the cluster protocol.
func TestRecordGolden(t *testing.T) {
	const golden = "01" + "02" + "0010" + "1122334455667788" + "0000000000000003" + "aabbccdd" +
		"0001" + "0002" + "0102030405060708" + "1e4b" + "08" + "31302e312e322e33" + "04" + "65752d31"
	const api, keys, version = "1e47", "a0a1a2a3" + "b0b1b2b3", "05" + "312e322e33"
	r := exampleRecord()
	if got := hex.EncodeToString(r.Marshal()); got != golden+api+keys+version {
		t.Errorf("record is\n%s, want\n%s", got, golden+api+keys+version)
	}
	old, older, oldest := r, r, r
	old.Version = ""
	older.Key, older.Keys, older.Version = 0, 0, ""
	oldest.API, oldest.Key, oldest.Keys, oldest.Version = 0, 0, 0, ""
	for text, want := range map[string]cluster.Record{ // a newer node says more, an older one less
		golden + api + keys + version: r, golden + api + keys + version + "ffeedd": r,
		golden + api + keys: old, golden + api: older, golden: oldest,
	} {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cluster.ParseRecord(b)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("ParseRecord(%s): %v\n%s", text, err, diff)
		}
	}
}

func TestRecordIsShortEnough(t *testing.T) {
	r := exampleRecord()
	r.PeerHost, r.Zone, r.Version = strings.Repeat("h", 255), strings.Repeat("z", 16), cluster.ShortVersion(strings.Repeat("v", 99))
	if n := len(r.Marshal()); n > 512 {
		t.Errorf("longest record has %d bytes, memberlist panics above 512", n)
	}
}

func TestMalformedRecords(t *testing.T) {
	r := exampleRecord()
	good := r.Marshal()
	for n := range len(good) {
		if less := len(good) - n; less == 6 || less == 14 || less == 16 {
			continue // without a version, fingerprints, or the port of the API too, it is an older node's
		}
		if _, err := cluster.ParseRecord(good[:n]); err == nil {
			t.Errorf("the first %d bytes pass for a record", n)
		}
	}
	edits := map[string]func(b []byte){
		"format":       func(b []byte) { b[0] = 2 },
		"state 0":      func(b []byte) { b[1] = 0 },
		"state 5":      func(b []byte) { b[1] = 5 },
		"host length":  func(b []byte) { b[38] = 255 },
		"host control": func(b []byte) { b[39] = '\n' },
		"zone length":  func(b []byte) { b[47] = 17 },
		"zone control": func(b []byte) { b[48] = 0x80 },

		"version length":  func(b []byte) { b[len(b)-6] = 6 },
		"version control": func(b []byte) { b[len(b)-1] = '\n' },
	}
	for name, edit := range edits {
		b := bytes.Clone(good)
		if edit(b); bytes.Equal(b, good) {
			t.Errorf("%s: edit changes nothing", name)
		}
		if _, err := cluster.ParseRecord(b); err == nil {
			t.Errorf("%s: passes for a record", name)
		}
	}
}

func FuzzRecord(f *testing.F) {
	r := exampleRecord()
	f.Add(r.Marshal())
	f.Add(append(r.Marshal(), "tail"...))
	f.Add([]byte{1})
	for _, less := range []int{1, 5, 6, 7, 14, 15, 16, 17} {
		f.Add(r.Marshal()[:len(r.Marshal())-less])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := cluster.ParseRecord(b)
		if err != nil {
			return
		}
		again := r.Marshal()
		if more := len(again) - len(b); more == 1 || more == 9 || more == 11 { // an older node says nothing of these
			b = append(bytes.Clone(b), make([]byte, more)...)
		}
		if len(again) > len(b) || !bytes.Equal(again, b[:len(again)]) {
			t.Errorf("%x is marshalled as %x", b, again)
		}
		if longer, err := cluster.ParseRecord(append(bytes.Clone(b), 0xff, 0)); err != nil || longer != r {
			t.Errorf("with a longer tail: %+v, %v, want %+v", longer, err, r)
		}
	})
}

// Whatever a program calls its version, all nodes accept its record.
func TestVersionsFit(t *testing.T) {
	for version, want := range map[string]string{
		"": "", "v1.2.3-4-gabcdef0-dirty": "v1.2.3-4-gabcdef0-dirty", "1.0 ü\n": "1.0---", strings.Repeat("v", 99): strings.Repeat("v", 32),
	} {
		r := exampleRecord()
		r.Version = cluster.ShortVersion(version)
		got, err := cluster.ParseRecord(r.Marshal())
		if err != nil || got.Version != want {
			t.Errorf("version %q is told as %q, %v, want %q", version, got.Version, err, want)
		}
	}
}

func TestStateNames(t *testing.T) {
	for state, want := range map[cluster.State]string{
		0: "unknown", cluster.StateJoining: "joining", cluster.StateActive: "active", cluster.StateLeaving: "leaving",
		4: "leaf", cluster.StateLeft: "left", cluster.StateDead: "dead", 99: "state(99)",
	} {
		if got := state.String(); got != want {
			t.Errorf("State(%d) is %q, want %q", uint8(state), got, want)
		}
	}
}
