package bucketring_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
)

func TestIDText(t *testing.T) {
	// Callers keep ids while nodes are replaced: the text is API.
	id := bucketring.ID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}
	for part, want := range map[uint32]string{0: "AAAAAQIDBAUGBwgJCgsMDQ7_", 258: "AQIAAQIDBAUGBwgJCgsMDQ7_", 1<<16 - 1: "__8AAQIDBAUGBwgJCgsMDQ7_"} {
		if got := id.Text(part); got != want {
			t.Errorf("Text(%d) = %q, want %q", part, got, want)
		}
	}
}

func TestParseIDReadsWhatTextWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var id bucketring.ID
		copy(id[:], rapid.SliceOfN(rapid.Byte(), len(id), len(id)).Draw(t, "id"))
		part := rapid.Uint32Max(1<<16-1).Draw(t, "partition")
		got, gotPart, err := bucketring.ParseID(id.Text(part))
		if err != nil || got != id || gotPart != part {
			t.Errorf("ParseID(%q) = %v, %d, %v, want %v and %d", id.Text(part), got, gotPart, err, id, part)
		}
	})
}

func TestParseIDErrors(t *testing.T) {
	good := bucketring.ID{1}.Text(7)
	for _, text := range []string{
		"", "x", good[:23], good + "A", good + "AAAA", good[:23] + "=", good[:23] + "+", good[:23] + " ", good + "." + good,
		strings.Repeat("\n", 24), good[:4] + "\n" + good[5:], strings.Repeat("\xff", 24), strings.Repeat("ä", 12),
	} {
		if _, _, err := bucketring.ParseID(text); !errors.Is(err, bucketring.ErrInvalid) {
			t.Errorf("ParseID(%q) = %v, want ErrInvalid", text, err)
		}
	}
}

func FuzzParseID(f *testing.F) {
	f.Add(bucketring.ID{1}.Text(7))
	f.Add("AAAAAQIDBAUGBwgJCgsMDQ7_")
	f.Fuzz(func(t *testing.T, text string) {
		id, part, err := bucketring.ParseID(text)
		if err == nil && id.Text(part) != text {
			t.Errorf("ParseID(%q) is %q, want one text for one id", text, id.Text(part))
		}
	})
}

func TestTokenID(t *testing.T) {
	seen := map[bucketring.ID]string{}
	for _, tt := range []struct {
		name, token string
		limit       uint64
		key         string
	}{
		{"first", "0123456789abcdef", 1, "k"}, {"token", "0123456789abcdeg", 1, "k"}, {"limit", "0123456789abcdef", 2, "k"},
		{"key", "0123456789abcdef", 1, "l"}, {"border", "0123456789abcdefk", 1, ""}, {"empty", "", 1, "k"},
	} {
		id := bucketring.TokenID(tt.token, tt.limit, tt.key)
		if id != bucketring.TokenID(tt.token, tt.limit, tt.key) {
			t.Errorf("TokenID of %s differs from call to call", tt.name)
		}
		if other, twice := seen[id]; twice {
			t.Errorf("TokenID of %s is that of %s", tt.name, other)
		}
		seen[id] = tt.name
	}
}
