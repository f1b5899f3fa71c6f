// property_test.go holds random policies against what they promise, on a clock that
// the test turns.

package node_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

// A rateLimit is one random limit of kind rate.
type rateLimit struct {
	name         string
	limit, burst int64
	per          time.Duration
	word         string // of per
	bucket       bool
	sliding      bool
	align        string
	cost         int64 // of each call
	key          string
}

func (l *rateLimit) capacity() int64 {
	if l.bucket && l.burst > 0 {
		return l.burst
	}
	return l.limit
}

func (l *rateLimit) yaml() string {
	text := fmt.Sprintf("  - {name: %s, key: [%s], limit: %d, per: %s, cost: {from: attr, attr: c-%s}", l.name, l.key, l.limit, l.word, l.name)
	switch {
	case l.sliding:
		text += ", algorithm: sliding_window"
	case !l.bucket:
		text += ", algorithm: fixed_window, align: " + l.align
	case l.burst > 0:
		text += fmt.Sprintf(", burst: %d", l.burst)
	}
	return text + "}\n"
}

func randomLimit(r *rand.Rand, no int) rateLimit {
	l := rateLimit{name: fmt.Sprintf("l%d", no), limit: 1 + r.Int64N(20), key: []string{"user", "team"}[r.IntN(2)]}
	per := []string{"1s", "7s", "1m", "1h", "1d"}[r.IntN(5)]
	l.word = per
	l.per = map[string]time.Duration{"1s": time.Second, "7s": 7 * time.Second, "1m": time.Minute, "1h": time.Hour, "1d": 24 * time.Hour}[per]
	switch r.IntN(4) {
	case 0:
		l.bucket = true
		if r.IntN(2) == 0 {
			l.burst = 1 + r.Int64N(30)
		}
	case 1:
		l.sliding = true
	default:
		l.align = []string{"epoch", "first_request"}[r.IntN(2)]
	}
	l.cost = r.Int64N(min(l.capacity(), 4)) + 1
	return l
}

// admission is one admitted call.
type admission struct {
	at time.Duration
	n  int64
}

// bound is the most that a limit may admit within an interval of length per.
func (l *rateLimit) bound(log []admission) (admitted, most int64) {
	from, sum := 0, int64(0)
	for _, a := range log {
		sum += a.n
		for a.at-log[from].at >= l.per {
			sum -= log[from].n
			from++
		}
		admitted = max(admitted, sum)
	}
	switch {
	case l.bucket:
		most = l.capacity() + l.limit
	case l.sliding:
		most = l.limit
	default:
		most = 2 * l.limit // across the end of a window; within one it is checked by used
	}
	return admitted, most
}

func TestPoliciesKeepTheirPromises(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for no := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, no))
		limits := make([]rateLimit, 1+r.IntN(4))
		var text strings.Builder
		text.WriteString("apiVersion: limits/v1\nnamespace: test\nlimits:\n")
		for i := range limits {
			limits[i] = randomLimit(r, i)
			text.WriteString(limits[i].yaml())
		}
		if !t.Run(fmt.Sprint("policy-", no), func(t *testing.T) { keepsPromises(t, r, text.String(), limits) }) {
			t.Logf("seed %d, policy %d:\n%s", seed, no, text.String())
			return
		}
	}
}

// keepsPromises makes random calls and checks each answer.
func keepsPromises(t *testing.T, r *rand.Rand, text string, limits []rateLimit) {
	start := time.Date(2024, 2, 28, 23, 59, 30, int(r.Int64N(1e9)), time.UTC)
	elapsed := time.Duration(0)
	n, err := node.New(node.Config{Name: "n1", Now: func() time.Time { return start.Add(elapsed) }})
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Parse("test.yaml", []byte(text), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n.SetPolicies((&policy.Set{}).WithPolicy(p))
	req := callOf(bucketring.VerbTake, 1, "user", "u", "team", "t")
	for i := range limits {
		req.Attributes["c-"+limits[i].name] = strconv.FormatInt(limits[i].cost, 10)
	}
	logs := map[string][]admission{}
	for range 120 {
		before := used(t, n, "user", "u", "team", "t")
		d := do(t, n, req)
		after := used(t, n, "user", "u", "team", "t")
		for i := range limits {
			l := &limits[i]
			if d.Allowed {
				logs[l.name] = append(logs[l.name], admission{elapsed, l.cost})
			}
			if admitted, most := l.bound(logs[l.name]); admitted > most {
				t.Fatalf("%s admitted %d within %v, at most %d are promised", l.name, admitted, l.per, most)
			}
			if after[l.name] > l.capacity() {
				t.Fatalf("%s shows %d used of %d", l.name, after[l.name], l.capacity())
			}
		}
		if d.Allowed {
			elapsed += time.Duration(r.Int64N(int64(2 * time.Second)))
			continue
		}
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("a denied call changed counters (-before +after):\n%s", diff)
		}
		waits(t, n, req, d, &elapsed)
		for i := range limits {
			logs[limits[i].name] = append(logs[limits[i].name], admission{elapsed, limits[i].cost})
		}
	}
}

// waits as long as Retry-After says, and wants the same call admitted then, and not
// before the exact moment.
func waits(t *testing.T, n *node.Node, req bucketring.Request, d bucketring.Decision, elapsed *time.Duration) {
	t.Helper()
	seconds := 0
	for _, h := range d.Response.Headers {
		if h.Name == "Retry-After" {
			seconds, _ = strconv.Atoi(h.Value)
		}
	}
	if seconds < 1 || d.RetryAfter <= 0 {
		t.Fatalf("a denial that waiting cures has retry %v and headers %v, want 1 s or more", d.RetryAfter, d.Response.Headers)
	}
	denied := *elapsed
	*elapsed = denied + d.RetryAfter - time.Microsecond // the tick of the clocks
	early := req
	early.Verb = bucketring.VerbPeek
	if do(t, n, early).Allowed {
		t.Fatalf("%s was free before its retry of %v", d.Name, d.RetryAfter)
	}
	*elapsed = denied + time.Duration(seconds)*time.Second
	if again := do(t, n, req); !again.Allowed {
		t.Fatalf("after the %d s of Retry-After %s denies: %+v", seconds, again.Name, again)
	}
}
