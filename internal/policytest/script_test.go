package policytest_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/policytest"
)

// problems returns what Run says of a script, without the path before its name.
func problems(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "p.yaml", "apiVersion: limits/v1\nnamespace: n\nlimits: [{name: l, limit: 1, per: 1m}]\n")
	write(t, dir, "bad.yaml", "apiVersion: limits/v1\nnamespace: n\nlimits: [{name: l, limit: 1, pr: 1m}]\n")
	_, err := policytest.Run(write(t, dir, "s.yaml", text), policytest.Options{})
	if err == nil {
		return ""
	}
	if !errors.Is(err, bucketring.ErrInvalid) {
		t.Errorf("Run = %v, want an ErrInvalid", err)
	}
	return strings.ReplaceAll(err.Error(), dir+string(filepath.Separator), "")
}

func TestBadScripts(t *testing.T) {
	const top = "apiVersion: limits-test/v1\npolicy: p.yaml\n"
	tests := []struct{ name, text, want string }{
		{"empty", "", `s.yaml:1:1: the script is empty: begin with apiVersion: limits-test/v1`},
		{"no YAML", "a: [", `s.yaml:1:1: the script is no YAML: did not find expected node content`},
		{"a list", "[]", `s.yaml:1:1: the script must be a mapping, found a list`},
		{"two documents", top + "tests: []\n---\na: b\n", `s.yaml:4:1: a script is one document: put the second one into another file`},
		{"no keys", "{}", `s.yaml:1:1: the script needs the key "apiVersion"
s.yaml:1:1: the script needs the key "policy"
s.yaml:1:1: the script needs the key "tests"`},
		{"policy instead of script", "apiVersion: limits/v1\npolicy: p.yaml\ntests: [{name: t, steps: [{at: 2024-01-01T00:00:00Z}]}]",
			`s.yaml:1:13: apiVersion is "limits/v1", it must be limits-test/v1`},
		{"no tests", top + "tests: []", `s.yaml:3:8: tests is empty: give at least one, or leave it out`},
		{"misspelt at the top", top + "test: []\ntests: [{name: t, steps: [{advance: 1s}]}]",
			`s.yaml:3:1: unknown key "test" in the script: did you mean "tests"?`},
		{"no policy", "apiVersion: limits-test/v1\npolicy: none.yaml\ntests: [{name: t, steps: [{advance: 1s}]}]",
			"s.yaml:2:9: policy does not load:\nopen none.yaml: no such file or directory"},
		{"broken policy", "apiVersion: limits-test/v1\npolicy: bad.yaml\ntests: [{name: t, steps: [{policy: bad.yaml}]}]",
			"s.yaml:2:9: policy does not load:\nbad.yaml:3:10: limit \"l\" is a rate limit and needs the key \"per\", such as 1m\n" +
				"bad.yaml:3:30: unknown key \"pr\" in limit \"l\": did you mean \"per\"?"},
		{"tables", top + "tables: {keys: [k1], more: {k2: u, k3: {user: [u]}, k3: {}}}\ntests: [{name: t, steps: [{advance: 1s}]}]",
			`s.yaml:3:16: table keys must be a mapping, found a list
s.yaml:3:33: row k2 of table more must be a mapping, found "u"
s.yaml:3:47: "user" of row k3 of table more must be a text, found a list
s.yaml:3:53: key "k3" comes twice in table more`},
		{"tests", top + `tests:
  - {nam: t, steps: []}
  - {name: t, steps: [{advance: 1s}], start: 2024-01-01}
  - {name: t, steps: [{advance: 1s}], start: 2024-01-01T00:00:00}`,
			`s.yaml:4:5: test needs the key "name"
s.yaml:4:6: unknown key "nam" in test: did you mean "name"?
s.yaml:4:21: steps is empty: give at least one, or leave it out
s.yaml:5:46: start is "2024-01-01", it must be a time such as 2024-01-01T00:00:00Z or 2024-01-01T01:00:00.5+01:00
s.yaml:6:5: test "t" has the name of the one in line 5
s.yaml:6:46: start is "2024-01-01T00:00:00", it must be a time such as 2024-01-01T00:00:00Z or 2024-01-01T01:00:00.5+01:00`},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, problems(t, tt.text)); diff != "" {
			t.Errorf("%s: problems differ (-want +got):\n%s", tt.name, diff)
		}
	}
}

// head begins a script; its first step is to follow, in line 6.
const head = "apiVersion: limits-test/v1\npolicy: p.yaml\ntests:\n- name: t\n  steps:\n  - "

func badSteps(t *testing.T, tests []struct{ step, want string }) {
	t.Helper()
	for _, tt := range tests {
		if diff := cmp.Diff("s.yaml:"+tt.want, problems(t, head+tt.step+"\n")); diff != "" {
			t.Errorf("step %s: problems differ (-want +got):\n%s", tt.step, diff)
		}
	}
}

func TestBadSteps(t *testing.T) {
	badSteps(t, []struct{ step, want string }{
		{"tke: {}", `6:5: unknown key "tke" in step: did you mean "take"?`},
		{"{}", `6:5: step does nothing: give one of take, peek, refund, level, usage, count, settle, release, renew, connection, allow, advance, at, policy, table, load_error, repeat`},
		{"{take: {}, peek: {}}", `6:5: a step does one thing: make take and peek two steps`},
		{"take", `6:5: step must be a mapping, found "take"`},
		{"take: now", `6:11: take must be a mapping, found "now"`},
		{"{take: {}, time: 2}", `6:16: unknown key "time" in step: did you mean "times"?`},
		{"{take: {}, expct: {}}", `6:16: unknown key "expct" in step: did you mean "expect"?`},
		{"{take: {}, times: 0}", `6:23: times must be a whole number from 1 to 10000000, found "0"`},
		{"{take: {}, times: many}", `6:23: times must be a whole number from 1 to 10000000, found "many"`},
		{"{take: {}, as: last}", `6:20: as cannot be "last", which has a meaning of its own`},
		{"{advance: 1s, as: x}", `6:23: advance has no as`},
		{"{advance: 1s, times: 2}", `6:26: advance has no times`},
		{"{advance: 1s, expect: {status: 200}}", `6:27: advance has no expect`},
		{"{peek: {}, as: x}", `6:20: peek has no as`},
	})
}

func TestBadCalls(t *testing.T) {
	badSteps(t, []struct{ step, want string }{
		{"take: {attribute: {}}", `6:12: unknown key "attribute" in take: did you mean "attributes"?`},
		{"take: {attributes: {user: [u1]}}", `6:31: "user" of attributes must be a text, found a list`},
		{"take: {headers: {Authorization: }}", `6:37: "Authorization" of headers must be a text, found nothing`},
		{"take: {peer: 127.0.0.1:80}", `6:18: peer is "127.0.0.1:80", it must be an IP address without a port`},
		{"take: {content_length: -1}", `6:28: content_length must be a whole number from 0 to 9223372036854775807, found "-1"`},
		{"take: {cost: 1e3}", `6:18: cost is "1e3", it must be a number such as 1, 12.5, 25MB or 1MiB, with 9 decimals at most`},
		{"take: {cost: 1mB}", `6:18: cost is "1mB", it must be a number such as 1, 12.5, 25MB or 1MiB, with 9 decimals at most`},
		{"take: {cost: 0.0000000001}", `6:18: cost is "0.0000000001", it must be a number such as 1, 12.5, 25MB or 1MiB, with 9 decimals at most`},
		{"take: {cost: 9300PB}", `6:18: cost is "9300PB", which is too large: at most 9223372036854775807`},
		{"take: {add: 1}", `6:12: unknown key "add" in take: use one of cost, token, namespace, method, path, headers, peer, content_length, attributes`},
		{"usage: {cost: 1}", `6:13: unknown key "cost" in usage: use one of namespace, method, path, headers, peer, content_length, attributes`},
		{"level: {}", `6:12: level needs either add or set`},
		{"level: {add: 1, set: 1}", `6:12: level needs either add or set`},
		{"level: {add: 1, version: 1}", `6:30: version is for set: an add needs none`},
		{"level: {set: 1, version: x}", `6:30: version must be a whole number from 0 to 9223372036854775807, found "x"`},
	})
}

func TestBadActions(t *testing.T) {
	badSteps(t, []struct{ step, want string }{
		{"count: {take: {}, times: 1}", `6:12: count needs the key "allowed"`},
		{"count: {tak: {}, times: 1, allowed: 1}", "6:12: count needs the key \"take\"\ns.yaml:6:13: unknown key \"tak\" in count: did you mean \"take\"?"},
		{"count: {take: {usr: u}, times: 1, allowed: 2}", "6:20: unknown key \"usr\" in take: use one of cost, token, namespace, method, path, headers, peer, content_length, attributes\ns.yaml:6:48: allowed is 2, more than times, which is 1"},
		{"advance: 1.5d", `6:14: advance is "1.5d", it must be a time such as 100ms, 30s, 1h30m or 2d`},
		{"advance: -1s", `6:14: advance is "-1s", it must be a time such as 100ms, 30s, 1h30m or 2d`},
		{"at: noon", `6:9: at is "noon", it must be a time such as 2024-01-01T00:00:00Z or 2024-01-01T01:00:00.5+01:00`},
		{"at: 2300-01-01T00:00:00Z", `6:9: at is "2300-01-01T00:00:00Z", it must be a time such as 2024-01-01T00:00:00Z or 2024-01-01T01:00:00.5+01:00`},
		{"release: job", `6:14: release is "job", which no step before has named with as: use one of last, all`},
		{"renew: al", `6:12: renew is "al", which no step before has named with as: did you mean "all"?`},
		{"{take: {}, as: job1}\n  - release: job2", `7:14: release is "job2", which no step before has named with as: did you mean "job1"?`},
		{"settle: {of: last}", `6:13: settle needs the key "cost"`},
		{"settle: {of: all, cost: 1}", `6:18: of is "all", which no step before has named with as: use last`},
		{"settle: {of: last, cost: 1, cots: 2}", `6:33: unknown key "cots" in settle: did you mean "cost"?`},
		{"policy: [p.yaml]", `6:13: policy must be a text, found a list`},
		{"table: {keys: {k: {user: }}}", `6:30: "user" of row k of table keys must be a text, found nothing`},
		{"load_error: {policy: p.yaml, error: 1}", `6:34: unknown key "error" in load_error: did you mean "errors"?`},
		{"load_error: {policy: p.yaml, contains: a}", `6:44: contains must be a list, found "a"`},
		{"connection: {}", `6:17: connection needs the key "as"`},
		{"connection: {as: a, attr: {}}", `6:25: unknown key "attr" in connection: use one of as, namespace, method, path, headers, peer, content_length, attributes`},
		{"allow: {of: a}", `6:17: of is "a", which no step before has named with as`},
		{"connection: {as: a}\n  - allow: {of: a, message: 1, bytes: -1}", "7:20: unknown key \"message\" in allow: did you mean \"messages\"?\ns.yaml:7:39: bytes must not be negative"},
		{"{connection: {as: a}}\n  - release: a", `7:14: release is "a", which no step before has named with as: use one of last, all`},
		{"repeat: {time: 2, steps: [{advance: 1s}]}", "6:13: repeat needs the key \"times\"\ns.yaml:6:14: unknown key \"time\" in repeat: did you mean \"times\"?"},
		{"repeat: {times: 2, steps: [{repeat: {times: 2, steps: [{take: {}, expect: {stats: 200}}]}}]}", `6:80: unknown key "stats" in expect of take: did you mean "status"?`},
		{"repeat: {times: 2, steps: [{advance: 1h, at: x}]}", "6:32: a step does one thing: make advance and at two steps"},
	})
}

func TestBadExpectations(t *testing.T) {
	tests := []struct{ verb, expect, want string }{
		{"take: {}", "{}", `expect of take is empty: say what to expect, or leave it out`},
		{"take: {}", "ok", `expect of take must be a mapping, found "ok"`},
		{"take: {}", "{state: 200}", `unknown key "state" in expect of take: did you mean "status"?`},
		{"take: {}", "{status: ok}", `status must be a whole number from 100 to 599, found "ok"`},
		{"take: {}", "{status: 2000}", `status must be a whole number from 100 to 599, found "2000"`},
		{"take: {}", "{allowed: 1}", `allowed must be true or false, found "1"`},
		{"take: {}", "{leases: one}", `leases must be a whole number from 0 to 2147483647, found "one"`},
		{"take: {}", "{headers: [a]}", `headers must be a mapping, found a list`},
		{"take: {}", "{absent: Retry-After}", `absent must be a list, found "Retry-After"`},
		{"take: {}", "{exact: true}", `exact is about body, which is not there`},
		{"take: {}", "{body: {a: 0x10}}", `body.a is 0x10, which JSON writes otherwise: give a decimal number, or quote a text`},
		{"take: {}", "{body: {a: {b: 1, b: 2}}}", `key "b" comes twice in body.a`},
		{"take: {}", "{close: 4029}", `close must be a mapping, found "4029"`},
		{"take: {}", "{close: {cod: 4029}}", `unknown key "cod" in close: did you mean "code"?`},
		{"take: {}", "{retry_after: {min: 1, maximum: 2, max: 2}}", `unknown key "maximum" in retry_after: use one of min, max`},
		{"take: {}", "{retry_after: {min: 3, max: 2}}", `retry_after has a min of 3, above its max of 2`},
		{"take: {}", "{limits: {l: {use: 1}}}", `unknown key "use" in limit l: did you mean "used"?`},
		{"take: {}", "{limits: {l: {used: x}}}", `used is "x", it must be a number such as 1, 12.5, 25MB or 1MiB, with 9 decimals at most`},
		{"take: {}", "{error: x, leases: 0}", `a call that ends with an error has no leases`},
		{"take: {}", "{released: 1}", `unknown key "released" in expect of take: use one of status, headers, absent, body, exact, close, leases, retry_after, limits, allowed, error`},
		{"usage: {}", "{leases: 1}", `unknown key "leases" in expect of usage: use one of status, headers, absent, body, exact, limits, error`},
		{"release: all", "{renewed: 1}", `unknown key "renewed" in expect of release: use one of status, headers, absent, released, error`},
		{"settle: {of: last, cost: 1}", "{reserved: 1}", `unknown key "reserved" in expect of settle: use one of status, headers, absent, limits, error`},
	}
	for _, tt := range tests {
		for _, key := range []string{"expect", "expect_last"} {
			got := problems(t, head+tt.verb+"\n    "+key+": "+tt.expect+"\n")
			_, got, _ = strings.Cut(strings.TrimPrefix(got, "s.yaml:7:"), ": ")
			want := strings.Replace(tt.want, "expect of", key+" of", 1)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %s: problems differ (-want +got):\n%s", key, tt.expect, diff)
			}
		}
	}
}

// TestAliases: what is written once may be used often, but not without end.
func TestAliases(t *testing.T) {
	if got := problems(t, head+"take: &call {attributes: {user: a}}\n  - peek: *call\n"); got != "" {
		t.Errorf("a call that is used twice: %s, want no problem", got)
	}
	var bomb strings.Builder
	bomb.WriteString(head + "take: {}\n    expect: {body: [&a0 [x, x, x, x, x, x, x, x, x, x]")
	for _, level := range []string{"1", "2", "3", "4", "5", "6", "7"} {
		below := "*a" + string(level[0]-1)
		bomb.WriteString(", &a" + level + " [" + strings.Repeat(below+", ", 9) + below + "]")
	}
	for name, text := range map[string]string{
		"a bomb": bomb.String() + "]}\n",
		"depth":  head + "take: {}\n    expect: {body: " + strings.Repeat("[", 100) + strings.Repeat("]", 100) + "}\n",
		"itself": head + "take: {}\n    expect: {body: &a [*a]}\n",
	} {
		if got := problems(t, text); got == "" || strings.Count(got, "\n") > 2 {
			t.Errorf("%s: %q, want one problem or two", name, got)
		}
	}
}
