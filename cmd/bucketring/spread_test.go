package main

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// randomWord makes words that often clash.
func randomWord(r *rand.Rand) word {
	w := word{Version: r.Int64N(4)}
	if r.IntN(2) == 0 {
		w.Text = []byte{byte('a' + r.IntN(3))}
		return w
	}
	w.Rows = map[string]row{}
	if r.IntN(3) == 0 {
		w.Since = r.Int64N(4)
	}
	for range r.IntN(4) {
		one := row{Version: r.Int64N(4)}
		if r.IntN(3) > 0 {
			one.Fields = map[string]string{"user": string(rune('a' + r.IntN(3)))}
		}
		w.Rows[string(rune('k'+r.IntN(3)))] = one
	}
	return w
}

// In whatever order nodes hear words, and however often, they know the same.
func TestWordsMergeInAnyOrder(t *testing.T) {
	r := newRand(t)
	text := func(w word) string {
		b, err := json.Marshal(w)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for range 20_000 {
		a, b, c := randomWord(r), randomWord(r), randomWord(r)
		if x, y := a.merged(b), b.merged(a); text(x.merged(word{})) != text(y.merged(word{})) {
			t.Fatalf("%s and %s merge to %s and %s", text(a), text(b), text(x), text(y))
		}
		if x, y := a.merged(b).merged(c), a.merged(b.merged(c)); text(x) != text(y) {
			t.Fatalf("%s, %s, %s merge to %s and %s", text(a), text(b), text(c), text(x), text(y))
		}
		if x := a.merged(b); text(x.merged(b)) != text(x) || text(x.merged(a)) != text(x) {
			t.Fatalf("%s and %s merge differently when repeated", text(a), text(b))
		}
	}
}

func TestNewestRowCounts(t *testing.T) {
	said := func(version int64, user string) word {
		one := row{Version: version}
		if user != "" {
			one.Fields = map[string]string{"user": user}
		}
		return word{Rows: map[string]row{"k": one}}
	}
	w := said(3, "u3").merged(said(2, "u2"))
	if got := w.fields()["k"]["user"]; got != "u3" {
		t.Errorf("row = %q, want the newer u3", got)
	}
	w = w.merged(said(4, ""))
	if got, ok := w.fields()["k"]; got != nil || !ok {
		t.Errorf("row = %v, %v, want it marked deleted", got, ok)
	}
	w = w.merged(word{Since: 9, Rows: map[string]row{"new": {Version: 9, Fields: map[string]string{"user": "u9"}}}})
	if diff := cmp.Diff(map[string]map[string]string{"new": {"user": "u9"}}, w.fields()); diff != "" {
		t.Errorf("rows after a replacement (-want +got):\n%s", diff)
	}
}
