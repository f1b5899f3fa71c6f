package member_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/node/member"
)

func TestReadKeys(t *testing.T) {
	good := member.NewKeys()
	secret, gossip := line(t, good, "secret "), line(t, good, "gossip ")
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string // of the error
	}{
		"good":            {good, 0o600, ""},
		"group may read":  {good, 0o640, ""},
		"all may read":    {good, 0o644, "chmod 600"},
		"two gossip keys": {good + gossip, 0o600, ""},
		"two secrets":     {good + secret, 0o600, "there are two secrets"},
		"no secret":       {gossip, 0o600, `has one line "secret BASE64"`},
		"no gossip":       {secret, 0o600, `at least one "gossip BASE64"`},
		"empty":           {"", 0o600, "a key file has"},
		"another word":    {good + "key AAAA\n", 0o600, `:5: expected "secret BASE64"`},
		"short":           {"secret AAAA\n", 0o600, ":1: the key is not the base64 of 32 bytes"},
		"no base64":       {"secret ?\n", 0o600, ":1: the key is not the base64"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cluster.key")
			if err := os.WriteFile(file, []byte(tt.text), tt.mode); err != nil {
				t.Fatal(err)
			}
			_, err := member.ReadKeys(file)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("ReadKeys = %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := member.ReadKeys("no-such-file"); err == nil || !strings.Contains(err.Error(), "bucketring keyring init") {
		t.Errorf("ReadKeys of nothing = %v, want to be told how to make one", err)
	}
}

// line returns the line of a key file that begins with kind.
func line(t *testing.T, text, kind string) string {
	t.Helper()
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, kind) {
			return l
		}
	}
	t.Fatalf("%q has no line %q", text, kind)
	return ""
}

// TestKeysPlace: placement is a matter of the secret alone, and stays what it was.
func TestKeysPlace(t *testing.T) {
	const text = "secret AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\ngossip AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	keys, err := member.ParseKeys("keys", text)
	if err != nil {
		t.Fatal(err)
	}
	placer, err := keys.Placer()
	const want = 0x408762f78d76095d
	if err != nil || placer.Seed != want {
		t.Errorf("Placer = %#x, %v, want %#x: another seed would lose every counter of a running cluster", placer.Seed, err, uint64(want))
	}
	none := member.Keys{}
	if placer, err = none.Placer(); err != nil || placer.Seed != 0 {
		t.Errorf("Placer without a secret = %#x, %v, want 0", placer.Seed, err)
	}
	if id, err := none.Identity("n1"); id != nil || err != nil {
		t.Errorf("Identity without a secret = %v, %v, want none", id, err)
	}
}
