package member_test

import (
	"regexp"
	"testing"

	"github.com/bucketring/bucketring/node/member"
)

// TestKeyNames: a key is called the same wherever the secret is the same, and nowhere else.
func TestKeyNames(t *testing.T) {
	const secret = "secret AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	of := func(k member.Keys) string {
		t.Helper()
		names, err := k.KeyNames()
		if err != nil {
			t.Fatal(err)
		}
		alice, again, bob := names("alice"), names("alice"), names("bob")
		if alice != again || alice == bob {
			t.Errorf("alice is %s and %s, bob is %s", alice, again, bob)
		}
		if !regexp.MustCompile(`^[0-9a-f]{8}$`).MatchString(alice) {
			t.Errorf("alice is %q, want 8 hexadecimal digits", alice)
		}
		return alice
	}
	parsed := func(text string) member.Keys {
		t.Helper()
		k, err := member.ParseKeys("k", text)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	const gossip, another = "gossip AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n", "gossip AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	first := of(parsed(secret + gossip))
	if got := of(parsed(secret + another)); got != first {
		t.Errorf("with another gossip key alice is %s, want %s", got, first)
	}
	if got := of(parsed(member.NewKeys())); got == first {
		t.Errorf("with another secret alice is %s too", got)
	}
	if a, b := of(member.Keys{}), of(member.Keys{}); a == b {
		t.Errorf("two processes without a secret call alice %s", a)
	}
}
