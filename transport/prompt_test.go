package transport_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// TestPanicAmongCallsThatCameTogether costs the call that made it, is counted once, and no
// other call is decided twice.
func TestPanicAmongCallsThatCameTogether(t *testing.T) {
	decided := map[string]int{}
	o := &promptOwner{}
	o.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		if req.Key == "panic" {
			panic("boom")
		}
		decided[req.Key]++
		return allow(req), nil
	}
	s := transport.NewServer(o)
	m := &limitpb.TakeBatchRequest{}
	for i := range 20 {
		key := fmt.Sprint("k", i)
		if i == 5 {
			key = "panic"
		}
		m.Requests = append(m.Requests, &limitpb.TakeRequest{Key: key, Limit: "9/m"})
	}
	answers, err := limitpb.NewLimiterClient(newWorld(t).serve(s)).TakeBatch(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers.GetAnswers() {
		if code := codes.Code(a.GetError().GetCode()); (i == 5) != (code == codes.Internal) {
			t.Errorf("answer %d = %v, want that of the panic alone to be an error", i, a)
		}
		if key := fmt.Sprint("k", i); i != 5 && decided[key] != 1 {
			t.Errorf("%s was decided %d times, want once", key, decided[key])
		}
	}
	if got := s.Panics(); got != 1 {
		t.Errorf("Panics() = %d, want 1", got)
	}
}
