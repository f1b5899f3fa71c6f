package envoyrls_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	rls "github.com/bucketring/bucketring/internal/envoyrls/rlspb"
	"github.com/bucketring/bucketring/policy"
)

// hang waits until the context ends.
func hang(ctx context.Context, _ *bucketring.Request) error {
	<-ctx.Done()
	return ctx.Err()
}

// hangSteps is a Limiter all of whose owners are silent.
func hangSteps(ctx context.Context, req *bucketring.Request) error {
	if req.Verb == bucketring.VerbStep {
		return hang(ctx, req)
	}
	return nil
}

// slow answers whatever it is asked after a while, or when the context ends.
func slow(d time.Duration) func(context.Context, *bucketring.Request) error {
	return func(ctx context.Context, _ *bucketring.Request) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestInTime: whatever the Limiter does, a call is answered within 15 ms, or before its caller
// gives up, and leaves no goroutine behind. In this bubble only waiting takes time.
func TestInTime(t *testing.T) {
	shop := strings.Replace(onePolicy, "namespace: shop", "namespace: d", 1)
	each := strings.Replace(shop, "charge: all_or_nothing", "charge: each", 1)
	for _, tt := range []struct {
		name        string
		fail        func(context.Context, *bucketring.Request) error
		text        string
		descriptors string
		callers     time.Duration // of the caller; 0 for no deadline
		most        time.Duration
		want        string // in short; empty for UNAVAILABLE
	}{
		{"all hangs", hang, domain, "leaf=a", 0, 11 * time.Millisecond, ""},
		{"all hangs", hang, domain, "leaf=a leaf=b hour=c", 0, 11 * time.Millisecond, ""},
		{"all hangs, equal ones", hang, domain, strings.Repeat("leaf=a ", 250), 0, 11 * time.Millisecond, ""},
		{"all hangs, native", hang, shop, "user=a", 0, 10 * time.Millisecond, ""},
		{"all hangs, native", hang, shop, "user=a user=b user=b", 0, 10 * time.Millisecond, ""},
		{"all hangs, native each", hang, each, "user=a user=b user=b", 0, 10 * time.Millisecond, ""},
		{"owners hang", hangSteps, domain, "leaf=a", 0, 10 * time.Millisecond, "ok | ok 2/3"},
		{"owners hang", hangSteps, domain, "leaf=a leaf=b leaf=a", 0, 10 * time.Millisecond, "ok | ok 2/3 | ok 2/3 | ok 1/3"},
		{"owners hang, a caller in a hurry", hangSteps, domain, "leaf=a", 5 * time.Millisecond, 3 * time.Millisecond, "ok | ok 2/3"},
		{"owners hang, no time at all", hangSteps, domain, "leaf=a", time.Millisecond, 0, "ok | ok 2/3"},
		{"all hangs, a caller in a hurry", hang, domain, "leaf=a", 5 * time.Millisecond, 4 * time.Millisecond, ""},
		{"owners are slow", slow(6 * time.Millisecond), domain, "leaf=a leaf=b", 0, 14 * time.Millisecond, "any"},
		{"owners are slow, equal ones", slow(900 * time.Microsecond), domain, strings.Repeat("leaf=a ", 250), 0, 15 * time.Millisecond, ""},
	} {
		for _, settings := range []envoyrls.Settings{{}, {AllOrNothing: true}} {
			synctest.Test(t, func(t *testing.T) {
				d := inBubble(t, settings, tt.text)
				d.fail = tt.fail
				ctx, cancel := context.WithCancel(context.Background())
				if tt.callers > 0 {
					ctx, cancel = context.WithTimeout(ctx, tt.callers)
				}
				defer cancel()
				start := time.Now()
				resp, err := d.ShouldRateLimit(ctx, parseRequest(t, request(tt.descriptors)))
				if took := time.Since(start); took > tt.most {
					t.Errorf("%s, %.40s: answered after %v, want at most %v", tt.name, tt.descriptors, took, tt.most)
				}
				switch {
				case tt.want == "any" && (err == nil || status.Code(err) == codes.Unavailable):
				case tt.want == "" && status.Code(err) != codes.Unavailable, tt.want != "" && brief(resp) != tt.want:
					t.Errorf("%s, %.40s: %v, %v, want %q", tt.name, tt.descriptors, brief(resp), err, tt.want)
				}
			})
		}
	}
}

// inBubble is a door without a connection.
func inBubble(t *testing.T, settings envoyrls.Settings, text string) *door {
	p, err := policy.Parse("test.yaml", []byte(text), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &door{counters: newCounters(), t: t}
	d.set = (*policy.Set)(nil).WithPolicy(p)
	d.Server = envoyrls.New(envoyrls.Config{Limiter: d.counters, Policies: func() *policy.Set { return d.set }, Settings: settings})
	return d
}

func parseRequest(t testing.TB, text string) *rls.RateLimitRequest {
	t.Helper()
	var req rls.RateLimitRequest
	if err := protojson.Unmarshal([]byte(text), &req); err != nil {
		t.Fatal(err)
	}
	return &req
}

// TestDeadlines: counters have what the call has left, and this node's share a millisecond.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := inBubble(t, envoyrls.Settings{}, domain)
		d.fail = hangSteps
		for callers, want := range map[time.Duration][2]time.Duration{
			time.Hour: {10 * time.Millisecond, time.Millisecond}, 20 * time.Millisecond: {10 * time.Millisecond, time.Millisecond},
			6 * time.Millisecond: {4 * time.Millisecond, time.Millisecond},
		} {
			ctx, cancel := context.WithTimeout(context.Background(), callers)
			if _, err := d.ShouldRateLimit(ctx, parseRequest(t, request("leaf=a"))); err != nil {
				t.Error(err)
			}
			cancel()
			if all := d.takes(); len(all) != 2 || all[0].left != want[0] || all[1].left != want[1] {
				t.Errorf("for a caller that waits %v requests have %v, want %v", callers, all, want)
			}
		}
	})
}

// TestCallerGone: nothing is decided for a caller that went away.
func TestCallerGone(t *testing.T) {
	for _, text := range []string{domain, strings.Replace(onePolicy, "namespace: shop", "namespace: d", 1)} {
		d := inBubble(t, envoyrls.Settings{}, text)
		d.fail = hang
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := d.ShouldRateLimit(ctx, parseRequest(t, request("leaf=a user=b"))); status.Code(err) != codes.Canceled {
			t.Errorf("ShouldRateLimit for a caller that went away = %v, want CANCELED", err)
		}
	}
}
