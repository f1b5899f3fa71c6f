package resp_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// The states of the limits of a policy.
var (
	requestsState = bucketring.LimitState{
		Name: "requests", Allowed: true, Limit: 60, Remaining: 59, Used: 1, ResetAfter: 30 * time.Second, ResetAt: 1704067200,
	}
	minutesState = bucketring.LimitState{
		Name: "minutes", Limit: 500_000, Remaining: 454_800, Used: 45_200, Precision: 3,
		ResetAfter: time.Hour, ResetAt: 1704070800, RetryAfter: 59*time.Second + 1,
	}
	storageState = bucketring.LimitState{
		Name: "storage", Allowed: true, Limit: bucketring.Unlimited, Remaining: math.MaxInt64 - 7, Used: 7, Kind: bucketring.KindLevel,
	}
)

const (
	leaseA = "AAABAgMEBQYHCAkKCwwNDg8Q"
	leaseB = "AAEBAgMEBQYHCAkKCwwNDg8Q"
)

// policed answers calls with policies, of which "shop" is one, and calls about ids.
func policed(_ context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
	switch {
	case req.Verb == bucketring.VerbRenew || req.Verb == bucketring.VerbRelease:
		d.Leases = req.IDs
	case req.Verb == bucketring.VerbSettle && req.IDs[0] != leaseA:
		err = fmt.Errorf("%w: it was never made", bucketring.ErrUnknownID)
	case req.Verb == bucketring.VerbSettle:
		d.Reservation = req.IDs[0]
	case req.Namespace != "shop":
		err = fmt.Errorf("%w: there is no namespace %q%s", bucketring.ErrNoPolicy, req.Namespace, bucketring.Suggest(req.Namespace, []string{"shop"}))
	case req.Verb == bucketring.VerbUsage:
		d.Limits = []bucketring.LimitState{requestsState, minutesState, storageState}
	default:
		d = bucketring.Decision{Allowed: true, LimitState: requestsState, Leases: []string{leaseA, leaseB}, Reservation: leaseA + "." + leaseB}
	}
	return d, err
}

// decided is a decision and its reply, of which head begins a map.
var decided = []struct {
	name  string
	d     bucketring.Decision
	reply string // lines, separated by blanks; _ is nothing
}{
	{
		"an admitted call", bucketring.Decision{Allowed: true, LimitState: requestsState},
		"allowed :1 policy requests limit :60 remaining :59 reset_at :1704067200 retry_after :-1 degraded :0 leases *0 reservation -",
	},
	{
		"with what it has handed out", bucketring.Decision{Allowed: true, LimitState: requestsState, Leases: []string{"a", "b"}, Reservation: "r.s", Degraded: true},
		"allowed :1 policy requests limit :60 remaining :59 reset_at :1704067200 retry_after :-1 degraded :1 leases *2 a b reservation r.s",
	},
	{
		"a denial by a limit with decimals", bucketring.Decision{LimitState: minutesState},
		"allowed :0 policy minutes limit 500 remaining 454.8 reset_at :1704070800 retry_after :60 degraded :0 leases *0 reservation -",
	},
	{
		"a denial that ends at once", bucketring.Decision{LimitState: bucketring.LimitState{Name: "burst", Limit: 1, ResetAt: 9}},
		"allowed :0 policy burst limit :1 remaining :0 reset_at :9 retry_after :1 degraded :0 leases *0 reservation -",
	},
	{
		"a denial for ever", bucketring.Decision{LimitState: bucketring.LimitState{Name: "size", Limit: 5, Remaining: 5, RetryAfter: bucketring.Never, Kind: bucketring.KindCap}},
		"allowed :0 policy size limit :5 remaining :5 reset_at _ retry_after :-1 degraded :0 leases *0 reservation -",
	},
	{
		"a level without end", bucketring.Decision{Allowed: true, LimitState: storageState},
		"allowed :1 policy storage limit _ remaining _ reset_at _ retry_after :-1 degraded :0 leases *0 reservation -",
	},
	{
		"a rule that refuses", bucketring.Decision{LimitState: bucketring.LimitState{Name: "no-robots", RetryAfter: bucketring.Never}, Limits: []bucketring.LimitState{}},
		"allowed :0 policy no-robots limit _ remaining _ reset_at _ retry_after :-1 degraded :0 leases *0 reservation -",
	},
	{
		"a call of whose limits none is shown", bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{requestsState}},
		"allowed :1 policy - limit _ remaining _ reset_at _ retry_after :-1 degraded :0 leases *0 reservation -",
	},
	{
		"a call that no limit is for", bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{}},
		"allowed :1 policy - limit _ remaining _ reset_at _ retry_after :-1 degraded :0 leases *0 reservation -",
	},
}

// spelled writes a reply: a word with a kind is a line, _ is nothing, - an empty text, and
// every other word a text.
func spelled(version int, head, words string) string {
	var b strings.Builder
	b.WriteString(head)
	for word := range strings.FieldsSeq(words) {
		switch {
		case word == "_" && version == 2:
			b.WriteString("$-1\r\n")
		case strings.IndexByte(":*%_", word[0]) >= 0:
			b.WriteString(word + "\r\n")
		case word == "-":
			b.WriteString(bulk(""))
		default:
			b.WriteString(bulk(word))
		}
	}
	return b.String()
}

func TestPolicyDecisions(t *testing.T) {
	var d bucketring.Decision
	door := open(t, resp.Config{Limiter: limiterFunc(func(context.Context, bucketring.Request) (bucketring.Decision, error) { return d, nil })})
	defer door.close()
	for version, head := range map[int]string{2: "*18\r\n", 3: "%9\r\n"} {
		c := door.client()
		c.do("HELLO", fmt.Sprint(version))
		for _, tt := range decided {
			d = tt.d
			for _, command := range []string{"RL.TAKE", "rl.peek"} {
				if got, want := c.do(command, "shop", "user", "u"), spelled(version, head, tt.reply); got != want {
					t.Errorf("%s in RESP%d: %s\ngot  %q\nwant %q", command, version, tt.name, got, want)
				}
			}
		}
	}
}

func TestPolicyUsage(t *testing.T) {
	door := open(t, resp.Config{Limiter: limiterFunc(policed)})
	defer door.close()
	c := door.client()
	for version, head := range map[int]string{2: "*10", 3: "%5"} {
		c.do("HELLO", fmt.Sprint(version))
		c.expect(spelled(version, "*3\r\n", head+" name requests used :1 limit :60 remaining :59 reset_at :1704067200 "+
			head+" name minutes used 45.2 limit 500 remaining 454.8 reset_at :1704070800 "+
			head+" name storage used :7 limit _ remaining _ reset_at _"), "RL.USAGE", "shop", "user", "u")
	}
}

// Each command is one request, and each lease one of its own.
func TestPolicyRequests(t *testing.T) {
	var mu sync.Mutex
	var asked []bucketring.Request // guarded by mu
	door := open(t, resp.Config{Limiter: limiterFunc(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, req)
		return policed(ctx, req)
	})})
	defer door.close()
	c, user := door.client(), map[string]string{"user": "u"}
	for _, tt := range []struct {
		words []string
		want  []bucketring.Request
	}{
		{[]string{"RL.TAKE", "shop"}, []bucketring.Request{{Namespace: "shop", Cost: 1, Attributes: map[string]string{}}}},
		{[]string{"RL.TAKE", "shop", "user", "u", "COST", "12.5"}, []bucketring.Request{{Namespace: "shop", Attributes: user, Cost: 12, CostNanos: 5e8}}},
		{[]string{"RL.TAKE", "shop", "cost", "COST", "user", "", "COST", "0"}, []bucketring.Request{{Namespace: "shop", Attributes: map[string]string{"cost": "COST", "user": ""}}}},
		{[]string{"Rl.Peek", "shop", "user", "u"}, []bucketring.Request{{Verb: bucketring.VerbPeek, Namespace: "shop", Attributes: user, Cost: 1}}},
		{[]string{"RL.USAGE", "shop", "user", "u", "cost", "2"}, []bucketring.Request{{Verb: bucketring.VerbUsage, Namespace: "shop", Attributes: map[string]string{"user": "u", "cost": "2"}}}},
		{[]string{"RL.SETTLE", leaseA, "0.0000000001"}, []bucketring.Request{{Verb: bucketring.VerbSettle, IDs: []string{leaseA}, CostNanos: 1}}},
		{[]string{"RL.RENEW", leaseA}, []bucketring.Request{{Verb: bucketring.VerbRenew, IDs: []string{leaseA}}}},
		{[]string{"RL.RENEW", leaseA, leaseB}, []bucketring.Request{{Verb: bucketring.VerbRenew, IDs: []string{leaseA}}, {Verb: bucketring.VerbRenew, IDs: []string{leaseB}}}},
		{[]string{"RL.RELEASE", leaseB, leaseB}, []bucketring.Request{{Verb: bucketring.VerbRelease, IDs: []string{leaseB}}, {Verb: bucketring.VerbRelease, IDs: []string{leaseB}}}},
	} {
		asked = nil
		if got := c.do(tt.words...); got[0] == '-' {
			t.Errorf("%q = %q", tt.words, got)
		}
		// Those about several leases run at the same time.
		slices.SortFunc(asked, func(a, b bucketring.Request) int { return slices.Compare(a.IDs, b.IDs) })
		if diff := cmp.Diff(tt.want, asked); diff != "" {
			t.Errorf("%q asks (-want +got)\n%s", tt.words, diff)
		}
	}
	c.expect(":2\r\n", "RL.RENEW", leaseA, leaseB)
	c.expect(ok, "RL.SETTLE", leaseA, "7")
}

// Leases that are not there, or cannot be, are not counted.
func TestLeasesThatAreNotThere(t *testing.T) {
	door := open(t, resp.Config{Limiter: limiterFunc(func(_ context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
		if req.IDs[0] == leaseB {
			return d, bucketring.Invalidf("an id is none that was handed out")
		}
		return d, nil
	})})
	defer door.close()
	door.client().talk(said{"RL.RENEW " + leaseA, ":0\r\n"}, said{"RL.RELEASE " + leaseB + " " + leaseA, ":0\r\n"})
}

// What cannot be asked is not, costs no connection, and is shown without what would look
// like another reply.
func TestPolicyErrors(t *testing.T) {
	asked := 0
	door := open(t, resp.Config{Limiter: limiterFunc(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
		asked++
		return policed(ctx, req)
	})})
	defer door.close()
	many := []string{"RL.TAKE", "shop"}
	for i := range 33 {
		many = append(many, fmt.Sprint("a", i), "v")
	}
	count := func(name string) string {
		return "-ERR wrong number of arguments for '" + name + "' command\r\n"
	}
	const (
		amount, syntax = "-ERR cost must be a number of 0 or more such as 5 or 12.5\r\n", "-ERR syntax error: one number follows COST, and nothing else\r\n"
		namespace      = "-ERR namespace must be 1 to 512 bytes\r\n"
		attribute      = "-ERR the name of an attribute must be 1 to 64 bytes\r\n"
		form           = "an id has 24 characters of A-Z, a-z, 0-9, - and _: give it as the take answered it\r\n"
		reservation    = "-ERR reservation must be 1 to 8192 bytes\r\n"
	)
	c := door.client()
	for _, tt := range []struct {
		want  string
		words []string
	}{
		{count("rl.take"), []string{"RL.TAKE"}}, {count("rl.peek"), []string{"RL.PEEK"}}, {count("rl.usage"), []string{"RL.USAGE"}},
		{count("rl.renew"), []string{"RL.RENEW"}}, {count("rl.release"), []string{"RL.RELEASE"}},
		{count("rl.settle"), []string{"RL.SETTLE", leaseA}}, {count("rl.settle"), []string{"RL.SETTLE", leaseA, "1", "2"}},
		{count("rl.take"), []string{"RL.TAKE", "shop", "user"}}, {count("rl.usage"), []string{"RL.USAGE", "shop", "a", "b", "user"}},
		{namespace, []string{"RL.TAKE", ""}}, {namespace, []string{"RL.USAGE", strings.Repeat("n", 513)}},
		{attribute, []string{"RL.TAKE", "shop", "", "v"}}, {attribute, []string{"RL.TAKE", "shop", strings.Repeat("a", 65), "v"}},
		{"-ERR attribute 'user' has 513 bytes, at most 512 are allowed\r\n", []string{"RL.TAKE", "shop", "user", strings.Repeat("v", 513)}},
		{"-ERR attribute 'a  :1' is given twice\r\n", []string{"RL.PEEK", "shop", "a\r\n:1", "v", "a\r\n:1", "w"}},
		{"-ERR more than 32 attributes in one command\r\n", many},
		{syntax, []string{"RL.TAKE", "shop", "COST"}}, {syntax, []string{"RL.TAKE", "shop", "COST", "1", "user", "u"}},
		{amount, []string{"RL.TAKE", "shop", "COST", "-1"}}, {amount, []string{"RL.TAKE", "shop", "COST", "1e3"}},
		{amount, []string{"RL.PEEK", "shop", "COST", "9223372036854775808"}}, {amount, []string{"RL.TAKE", "shop", "COST", ""}},
		{"-ERR usage has no COST, and no attribute can have this name\r\n", []string{"RL.USAGE", "shop", "COST", "1"}},
		{amount, []string{"RL.SETTLE", leaseA, "x"}}, {reservation, []string{"RL.SETTLE", "", "1"}},
		{reservation, []string{"RL.SETTLE", strings.Repeat("r", 8193), "1"}},
		{"-ERR lease 1: " + form, []string{"RL.RENEW", "short"}}, {"-ERR lease 2: " + form, []string{"RL.RELEASE", leaseA, leaseA + "A"}},
	} {
		c.expect(tt.want, tt.words...)
	}
	if asked != 0 {
		t.Errorf("%d requests were made of commands that are wrong", asked)
	}
	c.expect("-ERR unknown namespace 'shp': did you mean \"shop\"?\r\n", "RL.TAKE", "shp")
	c.expect("-ERR unknown namespace '  :1'\r\n", "RL.USAGE", "\r\n:1")
	c.expect("-ERR unknown namespace ': did you mean \"x\"?'\r\n", "RL.PEEK", `: did you mean "x"?`)
	c.expect("-ERR unknown namespace '"+strings.Repeat("n", 128)+"'\r\n", "RL.TAKE", strings.Repeat("n", 512))
	c.expect("-ERR there is no such reservation: it was never made, or its window is over for long\r\n", "RL.SETTLE", leaseB, "1")
	c.expect(ok, "RL.SETTLE", leaseA, "1")
}

// Without the owner a take is decided, and says so; what only the owner knows is an error.
func TestPolicyWithoutTheOwner(t *testing.T) {
	away := map[string]error{
		"unavailable": fmt.Errorf("%w: the key's owner cannot be reached", bucketring.ErrUnavailable), "late": context.DeadlineExceeded, "made up": nil,
	}
	for name, err := range away {
		door := open(t, resp.Config{Limiter: limiterFunc(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{Degraded: true, Source: bucketring.SourceFallbackClosed, LimitState: bucketring.LimitState{Name: "l", RetryAfter: time.Second}}, err
		})})
		c := door.client()
		for _, command := range []string{"RL.USAGE shop", "RL.RENEW " + leaseA, "RL.RELEASE " + leaseA, "RL.SETTLE " + leaseA + " 1"} {
			if got, want := c.do(strings.Fields(command)...), "-UNAVAILABLE key owner not reachable\r\n"; got != want {
				t.Errorf("%s: %s = %q, want %q", name, command, got, want)
			}
		}
		got := c.do("RL.TAKE", "shop")
		want := spelled(2, "*18\r\n", "allowed :0 policy l limit :0 remaining :0 reset_at _ retry_after :1 degraded :1 leases *0 reservation -")
		if err == nil && got != want || err != nil && !strings.HasPrefix(got, "-UNAVAILABLE ") {
			t.Errorf("%s: RL.TAKE = %q", name, got)
		}
		door.close()
	}
}

// A command that a panic has ended costs no other.
func TestPolicyPanic(t *testing.T) {
	door := open(t, resp.Config{Limiter: limiterFunc(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
		panic(errors.New("a defect"))
	})})
	defer door.close()
	door.client().talk(said{"RL.TAKE shop", "-ERR internal error\r\n"}, said{"RL.RENEW " + leaseA + " " + leaseB, "-ERR internal error\r\n"}, said{"PING", "+PONG\r\n"})
}
