package envoyrls_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring/internal/envoyrls"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// seeds are the requests of the golden vectors and some more, as messages.
func seeds(f *testing.F) {
	text, err := os.ReadFile("testdata/envoy-golden.json")
	if err != nil {
		f.Fatal(err)
	}
	var golden struct{ Vectors []vector }
	if err := json.Unmarshal(text, &golden); err != nil {
		f.Fatal(err)
	}
	all := []string{
		request("leaf=a+0 leaf=a-3 leaf=b+18446744073709551615 dark=x quota=y share=s1"), native("user=a/path=|jobs user=b-1 user=a+0 user=eve"),
		`{"domain": "shop", "hitsAddend": 4294967295, "descriptors": [{"entries": [{"key": "user"}], "limit": {"unit": "YEAR", "unitMultiplier": 4294967295}}]}`,
	}
	for _, v := range golden.Vectors {
		all = append(all, wire(v.Request))
	}
	for _, one := range all {
		var req rls.RateLimitRequest
		if err := protojson.Unmarshal([]byte(one), &req); err != nil {
			f.Fatal(err)
		}
		message, err := proto.Marshal(&req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message, uint8(len(message)))
	}
}

// FuzzRequest: whatever a message has, it is refused as malformed, or answered as Envoy needs
// it. Nothing panics.
func FuzzRequest(f *testing.F) {
	seeds(f)
	golden, err := os.ReadFile("../../policy/testdata/good/dialect-golden.yaml")
	if err != nil {
		f.Fatal(err)
	}
	set := &policy.Set{}
	for _, text := range []string{domain, onePolicy, string(golden)} {
		p, err := policy.Parse("f.yaml", []byte(text), policy.Options{})
		if err != nil {
			f.Fatal(err)
		}
		set = set.WithPolicy(p)
	}
	f.Fuzz(func(t *testing.T, message []byte, flags uint8) {
		var req rls.RateLimitRequest
		if proto.Unmarshal(message, &req) != nil {
			return // gRPC refuses it
		}
		limiter := newCounters()
		limiter.set = set
		s := envoyrls.New(envoyrls.Config{Limiter: limiter, Policies: func() *policy.Set { return set }, Settings: envoyrls.Settings{
			AllOrNothing: flags&1 != 0, DynamicMetadata: flags&2 != 0, ResponseHeaders: envoyrls.Switch(flags >> 2 % 3), Metrics: flags&16 != 0, Shadow: flags&32 != 0,
		}}).Patient()
		resp, err := s.ShouldRateLimit(context.Background(), &req)
		if s.Stats().Panics > 0 {
			t.Fatal("the call panicked")
		}
		if err != nil {
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("ShouldRateLimit = %v, want an answer or INVALID_ARGUMENT", err)
			}
			return
		}
		checkComplete(t, &req, resp)
		if _, err := proto.Marshal(resp); err != nil {
			t.Errorf("the answer cannot be sent: %v", err)
		}
	})
}
