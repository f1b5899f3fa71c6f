package grpclimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/client/grpclimit"
)

func everyone(context.Context) string { return "everyone" }

// bubble runs a test in virtual time, and lets gRPC's goroutines end.
func bubble(t *testing.T, test func(t *testing.T)) {
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { time.Sleep(time.Hour) })
		test(t)
	})
}

// rates returns the rate headers in metadata.
func rates(md metadata.MD) map[string][]string {
	got := map[string][]string{}
	for _, name := range []string{"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after", "ratelimit", "ratelimit-policy"} {
		if values := md.Get(name); len(values) > 0 {
			got[name] = values
		}
	}
	return got
}

// TestUnary spends a limit. A bubble begins at 946684800.
func TestUnary(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := serve(t, grpclimit.Config{Limiter: newNode(t), Request: grpclimit.Key(bucketring.MustParse("1/m"), everyone)}, nil)
		header, _, err := c.check(t.Context())
		want := map[string][]string{"x-ratelimit-limit": {"1"}, "x-ratelimit-remaining": {"0"}, "x-ratelimit-reset": {"946684860"}}
		if diff := cmp.Diff(want, rates(header)); diff != "" || err != nil {
			t.Errorf("first call %v, header (-want +got):\n%s", err, diff)
		}
		time.Sleep(1500 * time.Millisecond)
		header, trailer, err := c.check(t.Context())
		want["retry-after"] = []string{"59"}
		if diff := cmp.Diff(want, rates(trailer)); diff != "" || len(rates(header)) != 0 || status.Code(err) != codes.ResourceExhausted {
			t.Errorf("second call %v, header %v, trailer (-want +got):\n%s", err, header, diff)
		}
		if got := trailer.Get("grpc-retry-pushback-ms"); len(got) != 1 || got[0] != "58500" {
			t.Errorf("pushback = %v, want 58500", got)
		}
		after, ok := grpclimit.RetryAfter(err)
		if !ok || after != 58500*time.Millisecond {
			t.Errorf("RetryAfter = %v, %v, want 58.5s", after, ok)
		}
		time.Sleep(after)
		if _, _, err := c.check(t.Context()); err != nil {
			t.Errorf("after that: %v, want served", err)
		}
	})
}

// TestStream is asked for when it opens.
func TestStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lim := &recorder{Limiter: newNode(t)}
		var seen []any
		perMinute := grpclimit.Key(bucketring.MustParse("1/m"), everyone)
		c := serve(t, grpclimit.Config{Limiter: lim, Request: func(ctx context.Context, method string, msg any) (bucketring.Request, bool) {
			seen = append(seen, method, msg)
			return perMinute(ctx, method, msg)
		}}, nil)
		_, header, err := c.watch(t.Context())
		if err != nil || header.Get("x-ratelimit-remaining")[0] != "0" || len(lim.asks) != 1 {
			t.Errorf("first stream %v, %v after %d asks", header, err, len(lim.asks))
		}
		stream, _, err := c.watch(t.Context())
		if status.Code(err) != codes.ResourceExhausted || stream.Trailer().Get("retry-after")[0] != "60" {
			t.Errorf("second stream %v, %v", stream.Trailer(), err)
		}
		want := []any{"/grpc.health.v1.Health/Watch", nil, "/grpc.health.v1.Health/Watch", nil}
		if diff := cmp.Diff(want, seen); diff != "" {
			t.Errorf("asked for (-want +got):\n%s", diff)
		}
	})
}

// TestNoDecision: what happens to calls when the limiter says nothing.
func TestNoDecision(t *testing.T) {
	hang := func(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
		<-ctx.Done()
		return bucketring.Decision{}, ctx.Err()
	}
	fails := func(err error) decider {
		return func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			return bucketring.Decision{}, err
		}
	}
	for _, tt := range []struct {
		name   string
		lim    decider
		closed bool
		code   codes.Code
		retry  time.Duration
		is     error
	}{
		{"away", fails(bucketring.ErrUnavailable), false, codes.OK, 0, bucketring.ErrUnavailable},
		{"slow", hang, false, codes.OK, 0, context.DeadlineExceeded},
		{"anything else", fails(io.ErrUnexpectedEOF), false, codes.OK, 0, io.ErrUnexpectedEOF},
		{"away, closed", fails(bucketring.ErrUnavailable), true, codes.Unavailable, time.Second, bucketring.ErrUnavailable},
		{"invalid", fails(bucketring.Invalidf("no")), false, codes.InvalidArgument, 0, bucketring.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var seen []string
				c := serve(t, grpclimit.Config{
					Limiter: tt.lim, Request: grpclimit.Policy("api", nil), FailClosed: tt.closed,
					Observe: func(_ context.Context, method string, d *bucketring.Decision, err error) {
						seen = append(seen, fmt.Sprint(method, " ", d == nil, " ", errors.Is(err, tt.is)))
					},
				}, nil)
				began := time.Now()
				header, _, err := c.check(t.Context())
				if took := time.Since(began); took > grpclimit.DefaultWithin {
					t.Errorf("it took %v, want at most DefaultWithin", took)
				}
				_, _, err2 := c.watch(t.Context())
				for _, err := range []error{err, err2} {
					if after, _ := grpclimit.RetryAfter(err); status.Code(err) != tt.code || after != tt.retry {
						t.Errorf("call = %v, retry after %v, want %v, %v", err, after, tt.code, tt.retry)
					}
				}
				want := []string{"/grpc.health.v1.Health/Check true true", "/grpc.health.v1.Health/Watch true true"}
				if diff := cmp.Diff(want, seen); diff != "" || len(rates(header)) != 0 {
					t.Errorf("rate headers %v, observed (-want +got):\n%s", header, diff)
				}
			})
		})
	}
}

// TestLeaseOfAStream lasts until it ends: by the handler, by a panic, by its caller.
func TestLeaseOfAStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
		lim := &recorder{Limiter: newNode(t)}
		c := serve(t, grpclimit.Config{Limiter: lim, Request: grpclimit.Key(bucketring.MustParse("1 concurrent ttl=6s"), everyone)},
			func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		for range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			if _, _, err := c.watch(ctx); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if _, _, err := c.watch(t.Context()); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("another stream = %v, want ResourceExhausted", err)
			}
			cancel()
			synctest.Wait()
		}
		if renewed, released := lim.count(bucketring.VerbRenew), lim.count(bucketring.VerbRelease); renewed < 2*29 || released != 2 {
			t.Errorf("%d renewals and %d releases, want one in 2 s and 2", renewed, released)
		}
	})
}

// TestPanicReleases: whoever recovers it, the lease is given back.
func TestPanicReleases(t *testing.T) {
	lim := &recorder{Limiter: newNode(t)}
	limit := grpclimit.Unary(grpclimit.Config{Limiter: lim, Request: grpclimit.Key(bucketring.MustParse("1 concurrent"), everyone)})
	for range 2 {
		func() {
			defer func() { _ = recover() }()
			_, err := limit(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/a/b"}, func(context.Context, any) (any, error) { panic("x") })
			t.Errorf("the call = %v, want a panic", err)
		}()
	}
	if n := lim.count(bucketring.VerbRelease); n != 2 {
		t.Errorf("%d releases, want 2", n)
	}
}

// TestHandlerHasTheGrant in calls of both kinds, and can settle.
func TestHandlerHasTheGrant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var costs []int64
		c := serve(t, grpclimit.Config{Request: grpclimit.Policy("api", nil),
			Limiter: decider(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
				costs = append(costs, req.Cost)
				return bucketring.Decision{Allowed: true, Reservation: "r"}, nil
			})},
			func(ctx context.Context) error {
				g, ok := client.GrantFrom(ctx)
				if !ok {
					return errors.New("no grant")
				}
				g.Settle(7, 0)
				return nil
			})
		if _, _, err := c.check(t.Context()); err != nil {
			t.Error(err)
		}
		stream, _, err := c.watch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != io.EOF {
			t.Errorf("stream = %v, want its end", err)
		}
		if diff := cmp.Diff([]int64{1, 7, 1, 7}, costs); diff != "" {
			t.Errorf("costs (-want +got):\n%s", diff)
		}
	})
}

// TestExempt calls are served unasked, and their errors are the handler's.
func TestExempt(t *testing.T) {
	own := status.Error(codes.DataLoss, "mine")
	c := serve(t, grpclimit.Config{
		Limiter: decider(func(context.Context, bucketring.Request) (bucketring.Decision, error) {
			t.Error("asked, want not")
			return bucketring.Decision{}, nil
		}),
		Request: func(_ context.Context, _ string, msg any) (bucketring.Request, bool) {
			_, is := msg.(*grpc_health_v1.HealthCheckRequest)
			return bucketring.Request{}, !is
		},
	}, func(context.Context) error { return own })
	if _, _, err := c.check(t.Context()); status.Code(err) != codes.DataLoss {
		t.Errorf("call = %v, want the handler's error", err)
	}
}
