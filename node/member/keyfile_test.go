package member_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/node/member"
)

// TestKeyFileRotates: add, use, remove, and no line beside those of gossip changes.
func TestKeyFileRotates(t *testing.T) {
	text := strings.TrimSuffix("# ours\n"+member.NewKeys(), "\n") // and without the last line end
	f, err := member.EditKeys("keys", text)
	if err != nil {
		t.Fatal(err)
	}
	old := printsOf(f)[0]
	step := func(what string, err error, want ...string) {
		t.Helper()
		if got := printsOf(f); err != nil || !slices.Equal(got, want) {
			t.Fatalf("after %s the keys are %v, error %v, want %v", what, got, err, want)
		}
		again, err := member.EditKeys("keys", f.Text())
		if err != nil || !slices.Equal(printsOf(again), want) {
			t.Fatalf("after %s the text has %v, error %v, want %v", what, printsOf(again), err, want)
		}
	}
	if err := f.Add(); err != nil {
		t.Fatal(err)
	}
	fresh := printsOf(f)[1]
	step("add", nil, old, fresh)
	step("use of the first", f.Use("1"), old, fresh)
	step("use", f.Use(fresh), fresh, old)
	step("use by its number", f.Use("2"), old, fresh)
	step("use in capitals", f.Use(strings.ToUpper(fresh)), fresh, old)
	step("remove", f.Remove(old), fresh)
	for _, kept := range []string{"# ours\n", line(t, text, "secret ")} {
		if !strings.Contains(f.Text(), kept) {
			t.Errorf("the text has no %q any more", kept)
		}
	}
	if strings.Count(f.Text(), "\n") != strings.Count(text, "\n")+1 {
		t.Errorf("the text became\n%s\nwant it with one other key", f.Text())
	}
}

func printsOf(f *member.KeyFile) []string { k := f.Keys(); return k.Prints() }

func TestKeyFileRefuses(t *testing.T) {
	f, err := member.EditKeys("keys", member.NewKeys())
	if err != nil {
		t.Fatal(err)
	}
	only := f.Text()
	expect := func(err error, want, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), want) || f.Text() != text {
			t.Errorf("error %v, want one with %q and the text as it was", err, want)
		}
	}
	expect(f.Remove("1"), "add one, have all nodes take it in", only)
	if err := f.Add(); err != nil {
		t.Fatal(err)
	}
	both, prints := f.Text(), printsOf(f)
	expect(f.Remove(prints[0]), "use another one of keys first", both)
	expect(f.Remove("0"), "which has 1 "+prints[0]+", 2 "+prints[1], both)
	expect(f.Use("3"), `no gossip key "3"`, both)
	expect(f.Use(""), `no gossip key ""`, both)
	if _, err := member.EditKeys("keys", "gossip x\n"); err == nil {
		t.Error("EditKeys of a bad text = nil, want an error")
	}
}
