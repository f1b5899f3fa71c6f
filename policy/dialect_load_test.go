package policy_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/policy"
)

// oneDomain is the text of a domain with one rule.
func oneDomain(domain, key, requests string) string {
	return "domain: " + domain + "\ndescriptors:\n  - {key: " + key + ", rate_limit: {unit: hour, requests_per_unit: " + requests + "}}\n"
}

// requests are what a domain has for keys, 0 for none.
func requests(s *policy.Set, domain string, keys ...string) (all []uint32) {
	p := s.Find(domain)
	for _, key := range keys {
		n := uint32(0)
		if p != nil && p.Domain() != nil {
			if r := p.Domain().Match([]policy.Entry{{Key: key}}); r != nil {
				n = r.Requests
			}
		}
		all = append(all, n)
	}
	return all
}

func equal(got []uint32, want ...uint32) bool {
	for i := range want {
		if got[i] != want[i] {
			return false
		}
	}
	return true
}

// TestDomainTwice: nobody can tell which of two files is meant.
func TestDomainTwice(t *testing.T) {
	dir := folder(t, map[string]string{
		"a.yaml": oneDomain("twice", "a", "1"), "b.yaml": oneDomain("twice", "b", "2"),
		"c.yaml": oneDomain("both", "a", "1"), "d.yaml": onePolicy("both", "1"),
		"e.yaml": onePolicy("forms", "1"), "f.yaml": oneDomain("forms", "a", "1"), "g.yaml": oneDomain("good", "a", "3"),
	})
	s, err := policy.Load(dir, policy.Options{})
	want := strings.Join([]string{
		`b.yaml:1:9: domain "twice" is in a.yaml already: keep one of them`,
		`d.yaml:2:12: namespace "both" is in c.yaml already: keep one of them`,
		`f.yaml:1:9: domain "forms" is in e.yaml already: keep one of them`,
	}, "\n")
	if err == nil || strings.ReplaceAll(err.Error(), dir+"/", "") != want {
		t.Errorf("Load = %v, want\n%s", err, want)
	}
	if len(s.Policies()) != 1 || !equal(requests(s, "good", "a"), 3) {
		t.Errorf("Load has %d policies, want the good one", len(s.Policies()))
	}
	_, err = policy.Load(dir, policy.Options{MergeDomains: true})
	if err == nil || strings.Contains(err.Error(), "twice") || !strings.Contains(err.Error(), "both") || !strings.Contains(err.Error(), "forms") {
		t.Errorf("Load that merges = %v, want errors about the domains that are in both forms", err)
	}
}

// TestMergeDomains: several files make one domain, which changes as a whole.
func TestMergeDomains(t *testing.T) {
	merge := policy.Options{MergeDomains: true}
	dir := folder(t, map[string]string{
		"a.yaml": oneDomain("m", "a", "1"), "b.yaml": oneDomain("m", "b", "2"), "c.yaml": "domain: m\n", "d.yaml": oneDomain("other", "a", "5"),
	})
	old, err := policy.Load(dir, merge)
	if err != nil || !equal(requests(old, "m", "a", "b"), 1, 2) || !equal(requests(old, "other", "a"), 5) {
		t.Fatalf("Load = %v, with %v, want the rules of both files", err, requests(old, "m", "a", "b"))
	}
	put(t, filepath.Join(dir, "b.yaml"), oneDomain("m", "b", "3"))
	next, err := policy.Load(dir, merge)
	if err != nil || next.Hash() == old.Hash() {
		t.Errorf("Load after the second file changed = %v, hash %x, want another one than before", err, next.Hash())
	}
	for name, text := range map[string]string{
		"no YAML": "{", "the same key again": oneDomain("m", "a", "9"), "a bad unit": strings.Replace(oneDomain("m", "b", "4"), "hour", "hours", 1),
	} {
		put(t, filepath.Join(dir, "a.yaml"), oneDomain("m", "a", "7"))
		put(t, filepath.Join(dir, "b.yaml"), text)
		next, err := policy.Load(dir, merge)
		if err == nil {
			t.Errorf("%s: Load = nil, want an error", name)
		}
		if got := requests(old.Reload(next), "m", "a", "b"); !equal(got, 1, 2) {
			t.Errorf("%s: after a reload the domain has %v, want what it had", name, got)
		}
	}
	put(t, filepath.Join(dir, "b.yaml"), oneDomain("m", "a", "9"))
	_, err = policy.Load(dir, merge)
	if want := `b.yaml:3:5: key "a" without a value is in ` + dir + "/a.yaml:3 already"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Load = %v, want %s", err, want)
	}
}

// TestDomainReload: a bad file keeps the old rules, one that is gone takes them along.
func TestDomainReload(t *testing.T) {
	dir := folder(t, map[string]string{"a.yaml": oneDomain("a", "k", "1"), "b.yaml": oneDomain("b", "k", "1"), "c.yaml": onePolicy("c", "1")})
	s := load(t, dir)
	put(t, filepath.Join(dir, "a.yaml"), oneDomain("a", "k", "many"))
	put(t, filepath.Join(dir, "b.yaml"), oneDomain("b", "k", "2"))
	put(t, filepath.Join(dir, "c.yaml"), oneDomain("c", "k", "3")) // from one form to the other
	next, err := policy.Load(dir, policy.Options{})
	if err == nil {
		t.Fatal("Load = nil, want an error")
	}
	after := s.Reload(next)
	for domain, want := range map[string]uint32{"a": 1, "b": 2, "c": 3} {
		if got := requests(after, domain, "k"); !equal(got, want) {
			t.Errorf("domain %s has %v, want %d", domain, got, want)
		}
	}
	if change := policy.Changes(s, after); change == nil {
		t.Error("Changes = nil, want the counters of the policy dropped that became a domain")
	}
	if policy.Changes(after, after.Reload(next)) != nil {
		t.Error("a reload of the same domains changes counters")
	}
	gone := after.Reload(&policy.Set{})
	if len(gone.Policies()) != 0 {
		t.Errorf("after all files went away there are %d policies", len(gone.Policies()))
	}
}

// TestPutDomain: a domain can be put at run time as a policy can.
func TestPutDomain(t *testing.T) {
	s := load(t, folder(t, map[string]string{"a.yaml": oneDomain("a", "k", "1"), "b.yaml": onePolicy("b", "1")}))
	s = s.WithPolicy(parse(t, oneDomain("a", "k", "2"))).WithPolicy(parse(t, oneDomain("new", "k", "3")))
	s = s.Reload(load(t, folder(t, map[string]string{"a.yaml": oneDomain("a", "k", "4")})))
	if !equal(requests(s, "a", "k"), 2) || !equal(requests(s, "new", "k"), 3) {
		t.Errorf("after a reload a has %v and new %v, want what was put", requests(s, "a", "k"), requests(s, "new", "k"))
	}
	if (*policy.Set)(nil).Find("a") != nil || s.Find("nothing") != nil {
		t.Error("Find finds what is not there")
	}
}
