package transport_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// A policed is the limiter behind a server that has policies: it notes what it is
// asked, and answers what it is told.
type policed struct {
	last     bucketring.Request
	decision bucketring.Decision
	err      error
}

func (p *policed) Take(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
	p.last = req
	return p.decision, p.err
}

// denial is what a policy with two limits answers.
func denial() bucketring.Decision {
	states := []bucketring.LimitState{
		{Name: "minutes", Limit: 500_000, Remaining: 45_200, Used: 454_800, Precision: 3, Unit: "minutes", Allowed: true, ResetAt: 1704067200},
		{Name: "jobs", Limit: 10, Used: 10, Kind: bucketring.KindConcurrency, Unit: "jobs", RetryAfter: bucketring.Never, NextAfter: 7},
	}
	return bucketring.Decision{
		LimitState: states[1], Limits: states, Node: "n1", Owner: "n2", Reservation: "r.r", Leases: []string{"a", "b"},
		Response: &bucketring.Response{
			Status: 429, Headers: []bucketring.Header{{Name: "X-RateLimit-Limit", Value: "10"}, {Name: "Retry-After", Value: "1"}},
			Body: []byte(`{"error":"busy"}`), CloseCode: 4429, CloseReason: "busy", Violated: []string{"jobs"},
		},
	}
}

// TestPolicyVerbsThroughTheAPI: what a Client is asked arrives at the limiter, and
// the decision comes back whole.
func TestPolicyVerbsThroughTheAPI(t *testing.T) {
	attributes := map[string]string{"user": "u1", "plan": "pro"}
	p := &policed{}
	client := transport.NewClient(newWorld(t).serve(transport.NewServer(p)))
	for _, req := range []bucketring.Request{
		{Namespace: "voicedub", Attributes: attributes, Cost: 12, CostNanos: 500_000_000, Token: "0123456789abcdef"},
		{Verb: bucketring.VerbPeek, Namespace: "voicedub", Attributes: attributes},
		{Verb: bucketring.VerbRefund, Namespace: "voicedub", Attributes: attributes, CostNanos: 1},
		{Verb: bucketring.VerbSettle, IDs: []string{"r.r"}, Cost: 12, CostNanos: 500_000_000},
		{Verb: bucketring.VerbAdd, Namespace: "lesan", Attributes: attributes, Cost: -3, CostNanos: -500_000_000},
		{Verb: bucketring.VerbAdd, Namespace: "lesan", Attributes: attributes},
		{Verb: bucketring.VerbSet, Namespace: "lesan", Attributes: attributes, Cost: 7, CostNanos: 1, Version: 9},
		{Verb: bucketring.VerbSet, Namespace: "lesan"},
		{Verb: bucketring.VerbUsage, Namespace: "lesan", Attributes: attributes},
	} {
		p.decision = denial()
		got, err := client.Take(t.Context(), req)
		if err != nil {
			t.Errorf("Take(%+v) = %v, want a decision", req, err)
			continue
		}
		if diff := cmp.Diff(p.decision, got); diff != "" {
			t.Errorf("decision on %v (-local +remote):\n%s", req.Verb, diff)
		}
		if diff := cmp.Diff(req, p.last, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("request to %v (-sent +received):\n%s", req.Verb, diff)
		}
	}
}

func TestLeasesThroughTheAPI(t *testing.T) {
	p := &policed{}
	client := transport.NewClient(newWorld(t).serve(transport.NewServer(p)))
	for _, verb := range []bucketring.Verb{bucketring.VerbRenew, bucketring.VerbRelease} {
		for _, tt := range []struct {
			ids, reached []string
			want         bool
		}{
			{[]string{"a", "b"}, []string{"a", "b"}, true},
			{[]string{"a", "b"}, []string{"b"}, false},
			{[]string{"a", "b"}, nil, false},
			{[]string{"a", "a"}, []string{"a"}, true},
		} {
			p.decision = bucketring.Decision{Leases: tt.reached}
			got, err := client.Take(t.Context(), bucketring.Request{Verb: verb, IDs: tt.ids})
			want := bucketring.Decision{Allowed: tt.want, Leases: tt.reached}
			if err != nil || !cmp.Equal(got, want) {
				t.Errorf("%v %v = %+v, %v, want %+v", verb, tt.ids, got, err, want)
			}
			if sent := (bucketring.Request{Verb: verb, IDs: tt.ids}); !cmp.Equal(p.last, sent) {
				t.Errorf("%v arrived as %+v, want %+v", verb, p.last, sent)
			}
		}
	}
}

// TestUsageOfNothing: a caller to whom no limit applies has an empty list, and not
// one limit without a name.
func TestUsageOfNothing(t *testing.T) {
	p := &policed{decision: bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{}}}
	client := transport.NewClient(newWorld(t).serve(transport.NewServer(p)))
	got, err := client.Take(t.Context(), bucketring.Request{Verb: bucketring.VerbUsage, Namespace: "lesan"})
	if err != nil || got.Limits == nil || len(got.All()) != 0 {
		t.Errorf("usage = %+v, %v, want no limits", got, err)
	}
}

// TestErrorsOfPoliciesThroughTheAPI: of two errors with one code each comes back as
// itself, from every method.
func TestErrorsOfPoliciesThroughTheAPI(t *testing.T) {
	p := &policed{}
	client := transport.NewClient(newWorld(t).serve(transport.NewServer(p)))
	for verb := range bucketring.VerbUsage + 1 {
		for _, is := range ours {
			p.err = is
			_, err := client.Take(t.Context(), bucketring.Request{Verb: verb, IDs: []string{"r"}, Namespace: "n"})
			for _, other := range ours {
				if errors.Is(err, other) != (other == is) {
					t.Errorf("%v that fails with %q = %v, want that and no other", verb, is, err)
				}
			}
		}
	}
}

// TestReasonInAnswers: errors of a batch's items and of a stream's have it too.
func TestReasonInAnswers(t *testing.T) {
	p := &policed{err: bucketring.ErrUnknownID}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(p)))
	got, err := api.TakeBatch(t.Context(), &limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{{Namespace: "n"}}})
	if err != nil {
		t.Fatal(err)
	}
	if e := got.GetAnswers()[0].GetError(); codes.Code(e.GetCode()) != codes.NotFound || e.GetReason() != "UNKNOWN_ID" || e.GetDetail() != p.err.Error() {
		t.Errorf("error of an item = %v, want NotFound, UNKNOWN_ID and %q", e, p.err)
	}
	p.err = bucketring.ErrNoPolicy
	got, err = api.TakeBatch(t.Context(), &limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{{Namespace: "n"}}})
	if e := got.GetAnswers()[0].GetError(); err != nil || codes.Code(e.GetCode()) != codes.NotFound || e.GetReason() != "" {
		t.Errorf("error of an item = %v, want NotFound without a reason", e)
	}
}

// TestStreamsCarryTakesOnly: a number that the API does not name must not become
// one of our verbs.
func TestStreamsCarryTakesOnly(t *testing.T) {
	p := &policed{}
	stream, err := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(p))).TakeStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []limitpb.Verb{4, 9, 10, 256, -1} {
		if err := stream.Send(&limitpb.StreamRequest{Verb: verb, Request: &limitpb.TakeRequest{Namespace: "n"}}); err != nil {
			t.Fatal(err)
		}
		e := hear(t, stream).GetAnswer().GetError()
		if codes.Code(e.GetCode()) != codes.InvalidArgument || !strings.Contains(e.GetDetail(), "unknown verb") || p.last.Namespace != "" {
			t.Errorf("answer to verb %d = %v, arrived as %+v, want InvalidArgument and nothing to arrive", verb, e, p.last)
		}
	}
}

func TestLevelWithoutAChange(t *testing.T) {
	p := &policed{}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(p)))
	_, err := api.SetLevel(t.Context(), &limitpb.LevelRequest{Namespace: "lesan"})
	if status.Code(err) != codes.InvalidArgument || status.Convert(err).Message() != "change is missing: give add or set" {
		t.Errorf("SetLevel = %v, want InvalidArgument", err)
	}
	if p.last.Namespace != "" {
		t.Errorf("it arrived as %+v, want nothing to arrive", p.last)
	}
}

// TestCostThatIsAFraction: whoever gives billionths alone does not mean one more.
func TestCostThatIsAFraction(t *testing.T) {
	p := &policed{}
	api := limitpb.NewLimiterClient(newWorld(t).serve(transport.NewServer(p)))
	if _, err := api.Take(t.Context(), &limitpb.TakeRequest{Namespace: "n", CostNanos: 500_000_000}); err != nil {
		t.Fatal(err)
	}
	if p.last.Cost != 0 || p.last.CostNanos != 500_000_000 {
		t.Errorf("half a token arrived as %d and %d billionths", p.last.Cost, p.last.CostNanos)
	}
}

// TestWhatTheAPICannotCarry is refused at once: sent, it would look as if the node
// were away.
func TestWhatTheAPICannotCarry(t *testing.T) {
	p := &policed{}
	client := transport.NewClient(newWorld(t).serve(transport.NewServer(p)))
	for _, tt := range []struct {
		req  bucketring.Request
		want string
	}{
		{bucketring.Request{Key: "\xff"}, "key is not UTF-8"},
		{bucketring.Request{Namespace: "n\xff"}, "namespace is not UTF-8"},
		{bucketring.Request{Namespace: "n", Token: "\xff"}, "token is not UTF-8"},
		{bucketring.Request{Namespace: "n", Attributes: map[string]string{"path": "/\xff"}}, "an attribute is not UTF-8"},
		{bucketring.Request{Namespace: "n", Attributes: map[string]string{"\xff": ""}}, "an attribute is not UTF-8"},
		{bucketring.Request{Verb: bucketring.VerbRenew, IDs: []string{"\xff"}}, "id is not UTF-8"},
		{bucketring.Request{Verb: bucketring.VerbSettle}, "0 ids to settle: give one reservation"},
		{bucketring.Request{Verb: bucketring.VerbSettle, IDs: []string{"a", "b"}}, "2 ids to settle: give one reservation"},
		{bucketring.Request{Verb: bucketring.VerbUsage + 1}, "unknown verb 10"},
	} {
		_, err := client.Take(t.Context(), tt.req)
		if !errors.Is(err, bucketring.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Take(%+v) = %v, want ErrInvalid with %q", tt.req, err, tt.want)
		}
	}
}

// TestDecisionsThatNoLimitDescribes: a refusal by an access rule keeps its name and that it
// is for ever, and a list with one other limit stays a list, on both ways.
func TestDecisionsThatNoLimitDescribes(t *testing.T) {
	refused := bucketring.Decision{Limits: []bucketring.LimitState{}, Response: &bucketring.Response{Status: 403, Violated: []string{"paid"}}}
	refused.Name, refused.RetryAfter = "paid", bucketring.Never
	other := bucketring.Decision{Allowed: true, Limits: []bucketring.LimitState{{Name: "month", Allowed: true, Limit: 5, Remaining: 4}}}
	other.Name = "day"
	for _, want := range []bucketring.Decision{refused, other} {
		conn := newWorld(t).serve(transport.NewServer(&policed{decision: want}))
		stream := transport.NewStreamClient(conn)
		defer stream.Close()
		for name, client := range map[string]bucketring.Limiter{"call": transport.NewClient(conn), "stream": stream} {
			got, err := client.Take(t.Context(), bucketring.Request{Namespace: "shop", Cost: 1})
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || diff != "" || got.Limits == nil {
				t.Errorf("%s: Take = %v, (-want +got):\n%s", name, err, diff)
			}
		}
	}
}
