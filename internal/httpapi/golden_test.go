package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// An exchange is one call in a golden file.
type exchange struct {
	name         string
	target, body string // a body makes it a POST
	header       http.Header
	d            bucketring.Decision
	err          error
}

// record plays the exchanges and writes down what the Limiter saw and what the
// caller got.
func record(t *testing.T, file string, view httpapi.View, exchanges []exchange) {
	t.Helper()
	var b strings.Builder
	for _, x := range exchanges {
		fmt.Fprintf(&b, "=== %s\n", x.name)
		r := request(x.target, x.body)
		fmt.Fprintf(&b, "> %s %s\n", r.Method, x.target)
		if x.body != "" {
			fmt.Fprintf(&b, "> %s\n", x.body)
		}
		for name, values := range x.header {
			fmt.Fprintf(&b, "> %s: %s\n", name, values[0])
			r.Header[name] = values
		}
		h := httpapi.New(httpapi.Config{View: view, Limiter: limiterFunc(
			func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
				b.WriteString(describe(req))
				return x.d, x.err
			})})
		b.WriteString(dump(serve(h, r)) + "\n")
	}
	golden(t, file, b.String())
}

// describe writes what a Limiter is asked, what few calls have only where it is
// given.
func describe(req bucketring.Request) string {
	text := fmt.Sprintf("limiter: %v key=%q limits=%v cost=%d namespace=%q attributes=%v",
		req.Verb, req.Key, req.Limits, req.Cost, req.Namespace, req.Attributes)
	if req.CostNanos != 0 {
		text += fmt.Sprintf(" nanos=%d", req.CostNanos)
	}
	if req.IDs != nil {
		text += fmt.Sprintf(" ids=%q", req.IDs)
	}
	if req.Token != "" {
		text += fmt.Sprintf(" token=%q", req.Token)
	}
	if req.Version != 0 {
		text += fmt.Sprintf(" version=%d", req.Version)
	}
	return text + "\n"
}

// twoLimits is a decision about 10/s and 500/m that the second one denies.
func twoLimits() bucketring.Decision {
	d := denied()
	d.Limits = []bucketring.LimitState{
		{Name: "inline", Allowed: true, Limit: 10, Remaining: 9, ResetAfter: time.Second, ResetAt: 1704067141},
		{Name: "inline-2", Limit: 500, ResetAfter: time.Minute, RetryAfter: 120 * time.Millisecond, ResetAt: 1704067200},
	}
	d.LimitState = d.Limits[1]
	return d
}

// largest is a decision with the largest numbers there are.
func largest() bucketring.Decision {
	d := allowed()
	d.Limit, d.Remaining, d.ResetAt = math.MaxInt64, math.MaxInt64, math.MaxInt64
	d.ResetAfter = math.MaxInt64
	return d
}

// with changes a decision.
func with(d bucketring.Decision, change func(*bucketring.Decision)) bucketring.Decision {
	change(&d)
	return d
}

func TestTakeAndPeek(t *testing.T) {
	never := with(denied(), func(d *bucketring.Decision) { d.LimitState.RetryAfter = bucketring.Never })
	away := with(twoLimits(), func(d *bucketring.Decision) {
		d.Source, d.Degraded = bucketring.SourceFallbackClosed, true
	})
	share := with(allowed(), func(d *bucketring.Decision) {
		d.Source, d.Degraded, d.Owner = bucketring.SourceFallbackShare, true, ""
	})
	record(t, "take.golden", nil, []exchange{
		{name: "take", target: "/v1/take", body: `{"key":"alice","limit":"3/m","cost":1}`, d: allowed()},
		{name: "take without a cost takes 1", target: "/v1/take", body: `{"key":"alice","limit":"3/m"}`, d: allowed()},
		{name: "take of cost 0 looks", target: "/v1/take", body: `{"key":"alice","limit":"3/m","cost":0}`, d: allowed()},
		{name: "take for shells", target: "/v1/take?key=alice&limit=3/m&cost=1", d: allowed()},
		{name: "denied", target: "/v1/take?key=alice&limit=3/m", d: denied()},
		{name: "denied for ever", target: "/v1/take?key=alice&limit=3/m&cost=4", d: never},
		{name: "several limits", target: "/v1/take", body: `{"key":"alice","limit":"10/s, 500/m"}`, d: twoLimits()},
		{name: "largest numbers", target: "/v1/take", body: `{"key":"alice","limit":"9223372036854775807/s","cost":9223372036854775807}`, d: largest()},
		{name: "largest numbers in a query", target: "/v1/take?key=alice&limit=9223372036854775807/s&cost=9223372036854775807", d: largest()},
		{name: "degraded", target: "/v1/take?key=alice&limit=3/m", d: share},
		{name: "refused while the owner is away", target: "/v1/take?key=alice&limit=10/s,500/m", d: away},
		{name: "refused by one limit while the owner is away", target: "/v1/peek?key=alice&limit=3/m",
			d: with(denied(), func(d *bucketring.Decision) { d.Source, d.Degraded = bucketring.SourceFallbackClosed, true })},
		{name: "refused by two limits while the owner is away", target: "/v1/take?key=alice&limit=10/s,500/m",
			d: with(away, func(d *bucketring.Decision) { d.Limits = []bucketring.LimitState{{Name: "inline"}, {Name: "inline-2"}} })},
		{name: "names are escaped", target: "/v1/take?key=alice&limit=3/m",
			d: with(allowed(), func(d *bucketring.Decision) { d.Node, d.Owner = "a\"b\\", "c\n\xff" })},
		{name: "peek", target: "/v1/peek", body: `{"key":"alice","limit":"3/m","cost":2}`, d: allowed()},
		{name: "peek for shells", target: "/v1/peek?key=al%00%ff+ice&limit=3/m+burst%3d9", d: denied()},
	})
}

func TestRefundAndReset(t *testing.T) {
	record(t, "refund.golden", nil, []exchange{
		{name: "refund", target: "/v1/refund", body: `{"key":"alice","limit":"3/m","cost":2}`, d: allowed()},
		{name: "refund of 1", target: "/v1/refund", body: `{"key":"alice","limit":"3/m"}`, d: allowed()},
		{name: "refund while the owner is away", target: "/v1/refund", body: `{"key":"alice","limit":"3/m"}`,
			d: with(denied(), func(d *bucketring.Decision) { d.Source, d.Degraded = bucketring.SourceFallbackClosed, true })},
		{name: "refund is done, whatever the limit says", target: "/v1/refund", body: `{"key":"alice","limit":"3/m"}`, d: denied()},
		{name: "reset", target: "/v1/reset", body: `{"key":"alice","limit":"3/m"}`, d: allowed()},
		{name: "reset ignores a cost", target: "/v1/reset", body: `{"key":"alice","limit":"3/m","cost":-7}`, d: allowed()},
	})
}

func TestErrors(t *testing.T) {
	take := func(name string, err error) exchange {
		return exchange{name: name, target: "/v1/take?key=alice&limit=3/m", err: err}
	}
	cross := http.Header{"Sec-Fetch-Site": {"cross-site"}}
	record(t, "errors.golden", nil, []exchange{
		take("invalid", bucketring.Invalidf("a text for the caller")),
		take("no policy", fmt.Errorf("node: namespace \"voicedub\": %w", bucketring.ErrNoPolicy)),
		take("unavailable", fmt.Errorf("transport: take from 10.0.0.1: %w", bucketring.ErrUnavailable)),
		take("out of time", context.DeadlineExceeded),
		take("cancelled by the limiter, not the caller", context.Canceled),
		take("unknown", errors.New("disk on fire for alice")),
		{name: "namespace without policies", target: "/v1/take", body: `{"namespace":"voicedub"}`, err: bucketring.ErrNoPolicy},
		{name: "attributes without a namespace", target: "/v1/take", body: `{"key":"a","limit":"3/m","attributes":{"user":"u"}}`},
		{name: "bad limit", target: "/v1/take?key=alice&limit=3/mn"},
		{name: "a form", target: "/v1/take", body: "{}", header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
		{name: "compressed", target: "/v1/take", body: "{}", header: http.Header{"Content-Encoding": {"gzip"}}},
		{name: "query on a POST", target: "/v1/take?cost=2", body: "{}"},
		{name: "POST from another site", target: "/v1/take", body: "{}", header: cross},
		{name: "take from another site", target: "/v1/take?key=alice&limit=3/m", header: cross},
		{name: "peek from another site", target: "/v1/peek?key=alice&limit=3/m", header: http.Header{"Origin": {"https://other.example"}}},
		{name: "no such path", target: "/v2/take"},
		{name: "nearest path", target: "/v1/tak"},
		{name: "wrong method", target: "/v1/refund"},
		{name: "wrong method, two are right", target: "/v1/members", body: "{}"},
		{name: "admin is on another listener", target: "/v1/admin/reload", body: "{}"},
		{name: "no cluster view: members", target: "/v1/members"},
		{name: "no cluster view: ring", target: "/v1/ring"},
		{name: "no cluster view: explain", target: "/v1/explain?key=alice"},
	})
}

// view is a cluster of two as n1 sees it.
type view struct {
	empty bool
	err   error
}

func (v view) Members() httpapi.Members {
	if v.empty {
		return httpapi.Members{Node: "n1"}
	}
	since := time.Date(2024, 1, 1, 1, 0, 0, 999, time.FixedZone("", 3600))
	return httpapi.Members{Node: "n1", RingVersion: 3, Members: []httpapi.Member{
		{Name: "n1", State: "active", Gossip: "127.0.0.1:7752", Peer: "127.0.0.1:7755",
			Owned: 1365, Share: 1365.0 / 4093, Ring: "agrees", Self: true, Since: since},
		{Name: "n2", State: "left", Zone: "b", Version: "1.0.0", Ring: "unknown", Since: since},
	}}
}

func (v view) Ring() httpapi.Ring {
	if v.empty {
		return httpapi.Ring{Node: "n1"}
	}
	return httpapi.Ring{Node: "n1", Version: 3, Fingerprint: "00c0ffee00c0ffee", Partitions: 3,
		Members: []httpapi.Share{{Name: "n1", Owned: 2, Share: 2.0 / 3}, {Name: "n2", Owned: 1, Share: 1.0 / 3}},
		Owners:  []string{"n1", "n2", "n1"}}
}

func (v view) Explain(_ context.Context, req bucketring.Request) (httpapi.Explanation, error) {
	e := httpapi.Explanation{Node: "n1", RingVersion: math.MaxUint64}
	if req.Namespace == "" {
		e.Key, e.Place = req.Key, httpapi.Place{Partition: 2817, Owner: "n2", Replica: "n1"}
	} else {
		e.Namespace = req.Namespace
		for name, value := range req.Attributes {
			e.Places = append(e.Places, httpapi.Place{Limits: []string{name, value}, Partition: 7, Owner: "n2"})
		}
		e.Places = append(e.Places, httpapi.Place{Limits: []string{"here"}, Partition: -1})
	}
	if req.Verb != bucketring.VerbPeek || req.Cost != 0 {
		return e, errors.New("explain must only look")
	}
	if len(req.Limits) > 0 || req.Namespace != "" {
		d := allowed()
		e.Decision = &d
	}
	return e, v.err
}

func TestPages(t *testing.T) {
	record(t, "pages.golden", view{}, []exchange{
		{name: "members", target: "/v1/members"},
		{name: "members takes no parameters", target: "/v1/members?state=left"},
		{name: "ring", target: "/v1/ring"},
		{name: "ring without owners", target: "/v1/ring?owners=0"},
		{name: "ring with owners", target: "/v1/ring?owners=1"},
		{name: "ring with a bad switch", target: "/v1/ring?owners=yes"},
		{name: "explain", target: "/v1/explain?key=alice"},
		{name: "explain with a limit", target: "/v1/explain?key=%ff%22&limit=3/m"},
		{name: "explain nothing", target: "/v1/explain"},
		{name: "explain with a bad limit", target: "/v1/explain?key=alice&limit="},
		{name: "explain a caller", target: "/v1/explain?namespace=shop&user=%22u1"},
		{name: "explain a caller without attributes", target: "/v1/explain?namespace=shop"},
		{name: "explain a caller with a key", target: "/v1/explain?namespace=shop&user=u1&key=alice"},
		{name: "explain a caller with a limit", target: "/v1/explain?limit=3/m&namespace=shop"},
		{name: "explain a caller with a bad attribute", target: "/v1/explain?namespace=shop&" + strings.Repeat("a", 65) + "=x"},
		{name: "explain a caller of nothing", target: "/v1/explain?namespace=&user=u1"},
		{name: "explain a key with attributes", target: "/v1/explain?key=alice&user=u1"},
		{name: "explain a long key", target: "/v1/explain?key=" + strings.Repeat("k", 513)},
	})
	record(t, "pages_empty.golden", view{empty: true, err: bucketring.ErrUnavailable}, []exchange{
		{name: "members of nothing", target: "/v1/members"},
		{name: "ring of nothing", target: "/v1/ring?owners=1"},
		{name: "explain in a bad moment", target: "/v1/explain?key=alice"},
	})
}

// wrong is a View that shows what JSON cannot hold.
type wrong struct{ view }

func (wrong) Ring() httpapi.Ring {
	return httpapi.Ring{Members: []httpapi.Share{{Share: math.NaN()}}}
}

func TestWrongView(t *testing.T) {
	h := httpapi.New(httpapi.Config{Limiter: answering(allowed(), nil), View: wrong{}})
	if w := serve(h, request("/v1/ring", "")); w.Code != 503 {
		t.Errorf("status %d, want 503", w.Code)
	}
}

// TestPagesLeaveTheViewAlone asks twice for what is rounded for show.
func TestPagesLeaveTheViewAlone(t *testing.T) {
	kept := view{}.Ring()
	h := httpapi.New(httpapi.Config{Limiter: answering(allowed(), nil), View: fixed{ring: kept}})
	serve(h, request("/v1/ring", ""))
	if diff := cmp.Diff(view{}.Ring(), kept); diff != "" {
		t.Errorf("the View's ring has changed (-want +got):\n%s", diff)
	}
}

// fixed is a View that returns the same ring each time.
type fixed struct {
	view
	ring httpapi.Ring
}

func (f fixed) Ring() httpapi.Ring { return f.ring }
