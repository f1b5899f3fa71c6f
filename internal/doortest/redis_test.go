// redis_test.go runs the snippets of docs/redis.md, and a policy of each kind behind the Redis
// door.

package doortest_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const redisFile = "docs/redis.md"

var fencedPolicy = regexp.MustCompile("(?s)```yaml\n(.*?)```\n")

// redisPage returns the section of the page that is about policies: its policy, and its
// snippets.
func redisPage(t *testing.T) (policy string, about section) {
	t.Helper()
	_, text, found := strings.Cut(read(t, redisFile), "\n## Policies\n")
	text, _, ends := strings.Cut(text, "\n## ")
	m := fencedPolicy.FindStringSubmatch(text)
	if !found || !ends || m == nil {
		t.Fatalf("%s has no section Policies with a policy", redisFile)
	}
	return m[1], sections(t, "## Policies\n"+strings.Replace(text, m[0], "", 1))[0]
}

// The snippets print what the page shows below them, where the policy above them is.
func TestRedisPage(t *testing.T) {
	policy, about := redisPage(t)
	if len(about.snippets) < 2 {
		t.Fatalf("%d snippets were found, want all", len(about.snippets))
	}
	dir := t.TempDir()
	write(t, filepath.Join(dir, "jobs.yaml"), policy)
	n := startNode(t, "--policies", dir, "--resp-forward-budget", "5s")
	python := needs["Redis clients"].find(t)
	for _, c := range about.snippets {
		out, errs, err := c.outcome(t, t.TempDir(), python, environment(n.doors["http"], n.doors["grpc"], n.doors["resp"]))
		if err != nil || errs != "" || !pattern(c.output).MatchString(out) {
			t.Errorf("%s, %s: prints:\n%s%s(%v), want:\n%s", redisFile, c.lang, out, errs, err, c.output)
		}
	}
}

const everyKind = `apiVersion: limits/v1
namespace: every-kind
access: [{name: no-robots, when: {attr: {robot: "yes"}}, deny: {status: 403}}]
limits:
  - {name: calls, when: {attr: {op: call}}, key: [user], limit: 2, per: 1d, align: first_request, algorithm: fixed_window}
  - {name: size, kind: cap, when: {attr: {op: upload}}, limit: 5}
  - {name: running, kind: concurrency, when: {attr: {op: run}}, key: [user], limit: 1, lease: {ttl: 1h, renewable: true}}
  - {name: stored, kind: level, when: {attr: {op: store}}, key: [user], limit: unlimited}
  - {name: minutes, when: {attr: {op: speech}}, key: [user], limit: 60, per: 1d, align: first_request, algorithm: fixed_window, precision: 1, cost: {from: report}}
`

// A policy with each kind of limit, in both versions of the protocol.
func TestRedisPolicies(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "every.yaml"), everyKind)
	n := startNode(t, "--policies", dir, "--resp-forward-budget", "5s")
	for version := 2; version <= 3; version++ {
		t.Run(fmt.Sprint("RESP", version), func(t *testing.T) {
			c := dialRESP(t, n)
			v := &visit{t, c, fmt.Sprint("user", version)}
			v.do("HELLO", fmt.Sprint(version))
			v.rates()
			v.others()
			v.errors()
		})
	}
}

// A visit is a user's client.
type visit struct {
	t    *testing.T
	c    *respConn
	user string
}

func (v *visit) do(words ...string) any {
	v.t.Helper()
	said, err := v.c.do(words...)
	if err != nil {
		v.t.Fatalf("%q: %v", words, err)
	}
	return said
}

// decide asks about the user and compares what it gets to want; the times are left out of
// it, and so is what was handed out, which is returned.
func (v *visit) decide(command, want string, attributes ...string) map[string]any {
	v.t.Helper()
	said := v.do(append([]string{command, "every-kind", "user", v.user}, attributes...)...)
	all, err := pairs(said)
	if err != nil {
		v.t.Fatalf("%s %q: %v", command, attributes, err)
	}
	got := fmt.Sprintf("%v %v %v %v %v", all["allowed"], all["policy"], all["limit"], all["remaining"], all["degraded"])
	if got != want || len(all) != 9 {
		v.t.Errorf("%s %q = %s in %d pairs, want %s in 9", command, attributes, got, len(all), want)
	}
	return all
}

func (v *visit) rates() {
	v.t.Helper()
	v.decide("RL.PEEK", "1 calls 2 1 0", "op", "call")
	first := v.decide("RL.TAKE", "1 calls 2 1 0", "op", "call")
	v.decide("RL.TAKE", "0 calls 2 1 0", "op", "call", "COST", "2")
	v.decide("RL.TAKE", "1 calls 2 0 0", "op", "call", "COST", "1")
	denied := v.decide("RL.PEEK", "0 calls 2 0 0", "op", "call")
	reset, _ := first["reset_at"].(int64)
	retry, _ := denied["retry_after"].(int64)
	if reset <= 1e9 || first["retry_after"] != int64(-1) || denied["reset_at"] != reset || retry < 1 || retry > 86401 { // windows end with a whole second
		v.t.Errorf("reset_at %v, and after a denial %v with retry_after %v", first["reset_at"], denied["reset_at"], denied["retry_after"])
	}
	if got := fmt.Sprint(v.do("RL.USAGE", "every-kind", "user", v.user, "op", "call")); got != fmt.Sprint("[[name calls used 2 limit 2 remaining 0 reset_at ", reset, "]]") {
		v.t.Errorf("RL.USAGE = %s", got)
	}
}

func (v *visit) others() {
	v.t.Helper()
	never := v.decide("RL.TAKE", "0 size 5 5 0", "op", "upload", "COST", "6")
	if never["retry_after"] != int64(-1) || never["reset_at"] != nil {
		v.t.Errorf("what is too large = %v", never)
	}
	v.decide("RL.TAKE", "1  <nil> <nil> 0", "op", "store", "COST", "7") // what has no end is not shown
	v.want([]any{[]any{"name", "stored", "used", int64(7), "limit", nil, "remaining", nil, "reset_at", nil}}, "RL.USAGE", "every-kind", "user", v.user, "op", "store")
	v.decide("RL.TAKE", "0 no-robots <nil> <nil> 0", "robot", "yes")
	v.decide("RL.TAKE", "1  <nil> <nil> 0", "op", "nothing")

	leases, _ := v.decide("RL.TAKE", "1 running 1 0 0", "op", "run")["leases"].([]any)
	if len(leases) != 1 {
		v.t.Fatalf("leases = %v, want one", leases)
	}
	lease := fmt.Sprint(leases[0])
	v.decide("RL.TAKE", "0 running 1 0 0", "op", "run")
	v.want(int64(1), "RL.RENEW", lease)
	v.want(int64(1), "RL.RELEASE", lease, lease, strings.Repeat("A", 24))
	v.want(int64(0), "RL.RENEW", lease)
	v.decide("RL.PEEK", "1 running 1 0 0", "op", "run")

	reservation := fmt.Sprint(v.decide("RL.TAKE", "1 minutes 60 60 0", "op", "speech")["reservation"])
	v.want("OK", "RL.SETTLE", reservation, "12.45")
	v.want("OK", "RL.SETTLE", reservation, "60")
	v.decide("RL.PEEK", "1 minutes 60 47.5 0", "op", "speech")
	if usage := fmt.Sprint(v.do("RL.USAGE", "every-kind", "user", v.user, "op", "speech")); !strings.HasPrefix(usage, "[[name minutes used 12.5 limit 60 remaining 47.5 reset_at ") {
		v.t.Errorf("RL.USAGE = %s", usage)
	}
}

func (v *visit) errors() {
	v.t.Helper()
	v.want(errorReply(`ERR unknown namespace 'every_kind': did you mean "every-kind"?`), "RL.TAKE", "every_kind", "user", v.user)
	v.want(errorReply(`ERR unknown namespace 'other'`), "RL.USAGE", "other")
	v.want(errorReply("ERR there is no such reservation: it was never made, or its window is over for long"), "RL.SETTLE", strings.Repeat("A", 24), "1")
	v.want(errorReply("ERR wrong number of arguments for 'rl.take' command"), "RL.TAKE", "every-kind", "user")
	v.want(int64(0), "RL.RELEASE", strings.Repeat("_", 24))
}

func (v *visit) want(want any, words ...string) {
	v.t.Helper()
	if diff := cmp.Diff(want, v.do(words...)); diff != "" {
		v.t.Errorf("%q (-want +got)\n%s", words, diff)
	}
}

// The page names every field, in the order in which they come.
func TestRedisPageHasEveryField(t *testing.T) {
	text := read(t, redisFile)
	for _, fields := range []string{
		"`allowed`, `policy`, `limit`, `remaining`, `reset_at`, `retry_after`, `degraded`, `leases`, `reservation`",
		"`name`, `used`, `limit`, `remaining`, `reset_at`",
	} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), fields) {
			t.Errorf("%s does not have %s", redisFile, fields)
		}
	}
	_, about := redisPage(t)
	for _, name := range []string{"RL.TAKE", "RL.SETTLE", "RL.RELEASE", "RL.USAGE"} {
		if !slices.ContainsFunc(about.snippets, func(s snippet) bool { return strings.Contains(s.code, name) }) {
			t.Errorf("no snippet of %s has %s", redisFile, name)
		}
	}
}
