package transport_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// some returns a number of any size, often 0.
func some(r *rand.Rand) int64 {
	switch r.IntN(4) {
	case 0:
		return 0
	case 1:
		return r.Int64N(200)
	default:
		return int64(r.Uint64()) >> r.IntN(64)
	}
}

func someText(r *rand.Rand) string {
	switch r.IntN(4) {
	case 0:
		return ""
	case 1:
		return strings.Repeat("ü", r.IntN(20_000)) // lengths of three bytes
	default:
		return fmt.Sprint("text-", r.IntN(5))
	}
}

func someState(r *rand.Rand) bucketring.LimitState {
	s := bucketring.LimitState{
		Name: someText(r), Allowed: r.IntN(2) == 0, Limit: some(r), Remaining: some(r), Used: some(r), ResetAt: some(r),
		ResetAfter: time.Duration(some(r)), RetryAfter: time.Duration(r.Int64N(math.MaxInt32)), NextAfter: time.Duration(some(r)),
		Precision: uint8(r.IntN(7)), Kind: bucketring.Kind(r.IntN(4)), Unit: someText(r),
	}
	if r.IntN(5) == 0 {
		s.RetryAfter = bucketring.Never
	}
	return s
}

func someDecision(r *rand.Rand) bucketring.Decision {
	d := bucketring.Decision{
		Allowed: r.IntN(2) == 0, LimitState: someState(r), Source: bucketring.Source(r.IntN(7)), Degraded: r.IntN(2) == 0,
		Node: someText(r), Owner: someText(r), Reservation: someText(r),
	}
	for range r.IntN(3) {
		d.Leases = append(d.Leases, someText(r))
	}
	if r.IntN(2) == 0 {
		d.Limits = []bucketring.LimitState{}
		for range r.IntN(4) {
			d.Limits = append(d.Limits, someState(r))
		}
	}
	if r.IntN(3) == 0 {
		d.Response = &bucketring.Response{
			Status: r.IntN(600), Headers: []bucketring.Header{{Name: someText(r), Value: someText(r)}}, Body: append([]byte(nil), someText(r)...),
			CloseCode: r.IntN(5000), CloseReason: someText(r), Violated: []string{someText(r)},
		}
	}
	return d
}

// TestPackedDecisions compares what is written with the generated code, and what is read.
func TestPackedDecisions(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 3000 {
		d := someDecision(r)
		want := &limitpb.Answer{Result: &limitpb.Answer_Decision{Decision: transport.ToDecision(&d)}}
		got := new(limitpb.Answer)
		if err := proto.Unmarshal(transport.PackedAnswer(&d, nil), got); err != nil || !proto.Equal(got, want) {
			t.Fatalf("of %+v was written\n%v, error %v, want\n%v", d, got, err, want)
		}
		raw, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		read, failed, err := transport.ReadAnswer(raw)
		if diff := cmp.Diff(transport.FromDecision(want.GetDecision()), read); err != nil || failed != nil || diff != "" {
			t.Fatalf("a decision was read otherwise, errors %v and %v:\n%s", failed, err, diff)
		}
	}
}

// TestPackedErrors: errors of calls arrive as what they are.
func TestPackedErrors(t *testing.T) {
	for _, is := range []error{bucketring.ErrInvalid, bucketring.ErrNoPolicy, bucketring.ErrUnknownID, bucketring.ErrUnavailable} {
		raw := transport.PackedAnswer(nil, transport.ToStatus(fmt.Errorf("%w: because \xff", is)))
		if err := proto.Unmarshal(raw, new(limitpb.Answer)); err != nil {
			t.Errorf("%v is written as no answer: %v", is, err)
		}
		if _, failed, err := transport.ReadAnswer(raw); err != nil || !errors.Is(failed, is) || !strings.Contains(failed.Error(), "because") {
			t.Errorf("%v arrives as %v, error %v", is, failed, err)
		}
	}
}

func someTake(r *rand.Rand) *limitpb.TakeRequest {
	m := &limitpb.TakeRequest{
		Key: someText(r), Namespace: someText(r), Token: someText(r), CostNanos: int32(some(r)),
		Limit: []string{"", "3/m", "500/m, 20000/h", "nonsense"}[r.IntN(4)],
	}
	if r.IntN(2) == 0 {
		m.Cost = new(some(r))
	}
	for range r.IntN(3) {
		if m.Attributes == nil {
			m.Attributes = map[string]string{}
		}
		m.Attributes[someText(r)] = someText(r)
	}
	return m
}

// expectCall compares a request with what the generated code makes of it.
func expectCall(t *testing.T, one *transport.ReadCall, m *limitpb.TakeRequest) {
	t.Helper()
	want, invalid := transport.FromTake(bucketring.VerbTake, m)
	if diff := cmp.Diff(want, one.Req, cmpopts.EquateEmpty()); diff != "" || (one.Invalid == nil) != (invalid == nil) {
		t.Fatalf("request was read otherwise (error %v, want %v):\n%s", one.Invalid, invalid, diff)
	}
}

// TestPackedRequests is TestPackedDecisions for requests, alone and many in a message.
func TestPackedRequests(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		batch := &limitpb.TakeBatchRequest{}
		var stream *limitpb.StreamRequest
		for range 1 + r.IntN(4) {
			m := someTake(r)
			batch.Requests = append(batch.Requests, m)
			one := &limitpb.StreamRequest{Id: r.Uint64(), Verb: limitpb.Verb(r.Int32()), Request: m, BudgetNs: some(r)}
			if stream == nil {
				stream = one
			} else {
				stream.More = append(stream.More, one)
			}
		}
		all := append([]*limitpb.StreamRequest{stream}, stream.GetMore()...)
		for _, raw := range [][]byte{marshal(t, stream), marshal(t, batch)} {
			calls, count, nested, err := transport.ReadCalls(raw, isBatch(raw, batch))
			if err != nil || nested || len(calls) != len(all) {
				t.Fatalf("of %d requests %d were read (%d counted, nested %v, error %v)", len(all), len(calls), count, nested, err)
			}
			for i := range calls {
				expectCall(t, &calls[i], batch.GetRequests()[i])
			}
		}
		calls, _, _, _ := transport.ReadCalls(marshal(t, stream), false)
		for i, one := range all {
			if c := calls[i]; c.ID != one.GetId() || c.Verb != int32(one.GetVerb()) || int64(c.Budget) != one.GetBudgetNs() {
				t.Fatalf("of %v was read %+v", one, c)
			}
		}
	}
}

func isBatch(raw []byte, batch *limitpb.TakeBatchRequest) bool {
	m := new(limitpb.TakeBatchRequest)
	return proto.Unmarshal(raw, m) == nil && proto.Equal(m, batch)
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestPackedCalls: what a client writes is what the generated code would read.
func TestPackedCalls(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for range 1000 {
		m := someTake(r)
		req, invalid := transport.FromTake(bucketring.VerbTake, m)
		if invalid != nil {
			continue
		}
		req.Verb = bucketring.Verb(r.IntN(4))
		got := new(limitpb.StreamRequest)
		if err := proto.Unmarshal(transport.PackedRequest(7, 9, &req), got); err != nil {
			t.Fatal(err)
		}
		back, err := transport.FromTake(req.Verb, got.GetRequest())
		if err != nil || !reflect.DeepEqual(back, req) || got.GetId() != 7 || got.GetBudgetNs() != 9 || got.GetVerb() != limitpb.Verb(req.Verb) {
			t.Fatalf("%+v was written as %v, error %v", req, got, err)
		}
	}
}

// FuzzPacked: whatever arrives is read as the generated code would, or refused, and what
// that refuses is refused.
func FuzzPacked(f *testing.F) {
	d := bucketring.Decision{Allowed: true, LimitState: bucketring.LimitState{Name: "inline", Limit: 3, ResetAfter: 7}, Node: "n1", Leases: []string{"a"}}
	f.Add(transport.PackedAnswer(&d, nil))
	f.Add(transport.PackedAnswer(nil, transport.ToStatus(bucketring.ErrInvalid)))
	take := &limitpb.TakeRequest{Key: "k", Limit: "3/m", Cost: proto.Int64(2), Attributes: map[string]string{"a": "b"}, CostNanos: -5}
	for _, m := range []proto.Message{
		&limitpb.StreamRequest{Id: 3, Request: take, BudgetNs: 9, More: []*limitpb.StreamRequest{{Id: 4, Request: take}}},
		&limitpb.TakeBatchRequest{Requests: []*limitpb.TakeRequest{take, take}},
	} {
		raw, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := transport.ReadAnswers(raw); err == nil {
			_, _ = transport.ReadAnswers(raw)
		}
		answer := new(limitpb.Answer)
		plain := proto.Unmarshal(raw, answer)
		if _, _, err := transport.ReadAnswer(raw); err != nil && plain == nil {
			t.Errorf("an answer that is one was refused: %v", err)
		}
		batch := new(limitpb.TakeBatchRequest)
		plain = proto.Unmarshal(raw, batch)
		calls, count, _, err := transport.ReadCalls(raw, true)
		if plain != nil {
			return // unknown fields may be malformed in ways that do not matter
		}
		if err != nil || count != len(batch.GetRequests()) {
			t.Fatalf("%d requests were read, error %v, want %d", count, err, len(batch.GetRequests()))
		}
		for i := range calls {
			expectCall(t, &calls[i], batch.GetRequests()[i])
		}
	})
}
