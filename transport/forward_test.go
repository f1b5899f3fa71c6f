// forward_test.go holds calls through a link against the same calls made where
// they are decided.

package transport_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
)

// anyLimits draws limits that are valid together, of all algorithms.
func anyLimits(t *rapid.T) []bucketring.Limit {
	limits := make([]bucketring.Limit, rapid.IntRange(1, bucketring.MaxLimits).Draw(t, "limits"))
	for i := range limits {
		l := &limits[i]
		l.Name = rapid.StringN(0, 20, 60).Draw(t, "name")
		l.Algorithm = rapid.SampledFrom(bucketring.Algorithms()).Draw(t, "algorithm")
		l.Per = time.Duration(i+1) * time.Second // another window for each
		l.Amount = rapid.Int64Min(1).Draw(t, "amount")
		l.Unavailable = bucketring.Unavailable(rapid.IntRange(0, 2).Draw(t, "unavailable"))
		l.Accuracy = bucketring.Accuracy(rapid.IntRange(0, 2).Draw(t, "accuracy"))
		switch l.Algorithm {
		case bucketring.TokenBucket:
			l.Burst = rapid.Int64Range(0, l.Amount).Draw(t, "burst")
		case bucketring.FixedWindow:
			l.Align = bucketring.Align(rapid.IntRange(0, 1).Draw(t, "align"))
		}
	}
	return limits
}

func anyRequest(t *rapid.T) bucketring.Request {
	return bucketring.Request{
		Verb:   bucketring.Verb(rapid.IntRange(0, 3).Draw(t, "verb")),
		Key:    string(rapid.SliceOfN(rapid.Byte(), 1, bucketring.MaxKeyLen).Draw(t, "key")),
		Limits: anyLimits(t),
		Cost:   rapid.Int64Min(0).Draw(t, "cost"), CostNanos: rapid.Int32Range(0, 999_999_999).Draw(t, "nanos"),
	}
}

// anyDecision draws a decision on req with every field that an owner fills.
func anyDecision(t *rapid.T, req bucketring.Request) bucketring.Decision {
	states := make([]bucketring.LimitState, len(req.Limits))
	d := bucketring.Decision{Allowed: true}
	for i := range states {
		states[i] = anyState(t, &req.Limits[i])
		d.Allowed = d.Allowed && states[i].Allowed
	}
	d.LimitState = rapid.SampledFrom(states).Draw(t, "most")
	if len(states) > 1 {
		d.Limits = states
	}
	d.Source = rapid.SampledFrom(bucketring.Sources()).Draw(t, "source")
	return d
}

// anyState draws what a limit says, with all that crosses a link.
func anyState(t *rapid.T, l *bucketring.Limit) bucketring.LimitState {
	anyTime := rapid.OneOf(rapid.Just(time.Duration(0)), rapid.Just(bucketring.Never), rapid.Map(rapid.Int64Min(0),
		func(n int64) time.Duration { return time.Duration(n) }))
	return bucketring.LimitState{
		Name: l.Name, Allowed: rapid.Bool().Draw(t, "allowed"), Limit: l.Capacity(), Kind: l.Kind, Precision: l.Precision,
		Remaining: rapid.Int64Min(0).Draw(t, "remaining"), Used: rapid.Int64Min(0).Draw(t, "used"),
		ResetAfter: anyTime.Draw(t, "reset"), RetryAfter: anyTime.Draw(t, "retry"), NextAfter: anyTime.Draw(t, "next"),
		Window: rapid.Int64().Draw(t, "window"),
	}
}

func TestSameDecisionThroughALink(t *testing.T) {
	w := newWorld(t)
	h := w.host("n2").start()
	var decision bucketring.Decision
	h.owner.decide = func(context.Context, bucketring.Request) (bucketring.Decision, error) { return decision, nil }
	p := w.pool(h)
	rapid.Check(t, func(t *rapid.T) {
		req := anyRequest(t)
		decision = anyDecision(t, req)
		local, err := h.owner.Take(context.Background(), req)
		if err != nil {
			t.Fatalf("local Take(%+v): %v", req, err)
		}
		remote, err := p.Peer(h.addr()).Take(context.Background(), req)
		if err != nil {
			t.Fatalf("remote Take(%+v): %v", req, err)
		}
		if diff := cmp.Diff(local, remote); diff != "" {
			t.Errorf("decision through the link (-local +remote):\n%s", diff)
		}
		if diff := cmp.Diff(req, h.owner.last, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("request through the link (-sent +received):\n%s", diff)
		}
	})
}

// TestWhatALinkDoesNotCarry: moments are stamped by the node that asks, whose
// clock its caller knows, and it knows the names itself.
func TestWhatALinkDoesNotCarry(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			d := allow(req)
			d.ResetAt, d.Node, d.Owner = 1, "n2", "n2"
			return d, nil
		}
		p := w.pool(h)
		got := mustTake(t, p, h, "k")
		if want := allow(bucketring.Request{Limits: perMinute, Cost: 1}); !cmp.Equal(got, want) {
			t.Errorf("Take = %+v, want %+v", got, want)
		}
	})
}

// TestOwnerThatAnswersSomethingElse: what does not fit the call is no decision.
func TestOwnerThatAnswersSomethingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2").start()
		p := w.pool(h)
		for _, limits := range []int{0, 2, 3} {
			h.owner.decide = func(context.Context, bucketring.Request) (bucketring.Decision, error) {
				most := bucketring.LimitState{Limit: 1}
				return bucketring.Decision{Allowed: true, LimitState: most, Limits: make([]bucketring.LimitState, limits)}, nil
			}
			_, err := take(p, h, "k")
			wantUnavailable(t, "k", err)
		}
	})
}

// TestSameDecisionThroughThePublicAPI is the same for callers outside. Limits
// travel as text, so they have the names that Parse gives.
func TestSameDecisionThroughThePublicAPI(t *testing.T) {
	w := newWorld(t)
	o := &owner{}
	api := w.api(o)
	rapid.Check(t, func(t *rapid.T) {
		limits := bucketring.MustParse(rapid.SampledFrom([]string{
			"3/m", "10/h burst=20 accuracy=strict", "5/s algorithm=fixed_window unavailable=deny",
			"1/s, 2/m algorithm=sliding_window, 3/d unavailable=allow", "3/month@Europe/Berlin, 10 concurrent ttl=5m", "1/s, 1/2s, 1/3s, 1/4s, 1/5s, 1/6s, 1/7s, 1/8s",
		}).Draw(t, "limits"))
		req := bucketring.Request{
			Verb:   bucketring.Verb(rapid.IntRange(0, 3).Draw(t, "verb")),
			Key:    rapid.StringN(1, 100, bucketring.MaxKeyLen).Draw(t, "key"),
			Limits: limits, Cost: rapid.Int64Min(0).Draw(t, "cost"), CostNanos: rapid.Int32Range(0, 999_999_999).Draw(t, "nanos"),
			Token: rapid.StringN(0, 20, bucketring.MaxTokenLen).Draw(t, "token"),
		}
		decision := anyDecision(t, req)
		decision.Window = 0 // is for nodes
		decision.Leases = rapid.SliceOf(rapid.String()).Draw(t, "leases")
		decision.Reservation = rapid.String().Draw(t, "reservation")
		decision.Response = anyResponse(t)
		decision.Degraded, decision.Node, decision.Owner = rapid.Bool().Draw(t, "degraded"), "n1", "n2"
		decision.ResetAt = rapid.Int64Range(0, math.MaxInt64).Draw(t, "at")
		for i := range decision.Limits {
			decision.Limits[i].Window = 0
			if decision.Limits[i].Name == decision.Name {
				decision.Limits[i].ResetAt = decision.ResetAt
			}
		}
		o.decide = func(context.Context, bucketring.Request) (bucketring.Decision, error) { return decision, nil }
		got, err := api.Take(context.Background(), req)
		if err != nil {
			t.Fatalf("Take(%+v): %v", req, err)
		}
		if diff := cmp.Diff(decision, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("decision through the API (-local +remote):\n%s", diff)
		}
		if diff := cmp.Diff(req, o.last, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("request through the API (-sent +received):\n%s", diff)
		}
	})
}

func anyResponse(t *rapid.T) *bucketring.Response {
	if rapid.Bool().Draw(t, "no response") {
		return nil
	}
	r := &bucketring.Response{
		Status: rapid.IntRange(200, 599).Draw(t, "status"), Body: rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		CloseCode: rapid.IntRange(0, 4999).Draw(t, "close code"), CloseReason: rapid.String().Draw(t, "close reason"),
		Violated: rapid.SliceOf(rapid.String()).Draw(t, "violated"),
	}
	for range rapid.IntRange(0, 3).Draw(t, "headers") {
		r.Headers = append(r.Headers, bucketring.Header{Name: rapid.String().Draw(t, "name"), Value: rapid.String().Draw(t, "value")})
	}
	return r
}

// TestStepThroughALink carries arguments there and values back.
func TestStepThroughALink(t *testing.T) {
	w := newWorld(t)
	h := w.host("n2").start()
	var values []int64
	h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		d := allow(req)
		d.Values = values
		return d, nil
	}
	p := w.pool(h)
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(rapid.Int64(), 0, bucketring.MaxNumbers)
		key := string(rapid.SliceOfN(rapid.Byte(), 1, bucketring.MaxKeyLen).Draw(t, "key"))
		req := bucketring.StepRequest(rapid.Uint64Min(1).Draw(t, "id"), key, numbers.Draw(t, "args")...)
		values = numbers.Draw(t, "values")
		d, err := p.Peer(h.addr()).Take(context.Background(), req)
		if err != nil || !d.Allowed || !cmp.Equal(d.Values, values, cmpopts.EquateEmpty()) {
			t.Errorf("Take = %+v, %v, want the values %v", d, err, values)
		}
		if diff := cmp.Diff(req, h.owner.last, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("request through the link (-sent +received):\n%s", diff)
		}
	})
}

// TestStepOutside: the public API has no steps.
func TestStepOutside(t *testing.T) {
	api := transport.NewClient(nil)
	if _, err := api.Take(context.Background(), bucketring.StepRequest(7, "k")); !errors.Is(err, bucketring.ErrInvalid) {
		t.Errorf("a step through the public API = %v, want ErrInvalid", err)
	}
	override := bucketring.Request{Namespace: "shop", Cost: 1, Args: []int64{5, 60}}
	if _, err := api.Take(context.Background(), override); !errors.Is(err, bucketring.ErrInvalid) {
		t.Errorf("arguments through the public API = %v, want ErrInvalid: they would be lost", err)
	}
}
