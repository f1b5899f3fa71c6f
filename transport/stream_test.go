package transport_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"
)

type callStream = limitpb.Limiter_TakeStreamClient

// streamed opens a stream to a server whose calls o decides.
func streamed(ctx context.Context, w *world, o *owner) (callStream, *transport.Server) {
	w.Helper()
	s := transport.NewServer(o)
	stream, err := limitpb.NewLimiterClient(w.serve(s)).TakeStream(ctx)
	if err != nil {
		w.Fatal(err)
	}
	return stream, s
}

func ask(t *testing.T, stream callStream, id uint64, key string) {
	t.Helper()
	m := &limitpb.StreamRequest{Id: id, Request: &limitpb.TakeRequest{Key: key, Limit: "100/m"}}
	if err := stream.Send(m); err != nil {
		t.Fatalf("Send(%d): %v", id, err)
	}
}

func hear(t *testing.T, stream callStream) *limitpb.StreamResponse {
	t.Helper()
	m, err := stream.Recv()
	if err != nil {
		t.Fatalf("Recv: %v", err)
	}
	return m
}

// TestStreamAnswersOutOfOrder: one that waits for its owner holds up no other.
func TestStreamAnswersOutOfOrder(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		o := &owner{decide: func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			if req.Key == "slow" {
				<-release
			}
			return allow(req), nil
		}}
		stream, _ := streamed(t.Context(), w, o)
		ask(t, stream, 7, "slow")
		synctest.Wait()
		ask(t, stream, 8, "fast")
		if got := hear(t, stream); got.GetId() != 8 {
			t.Errorf("first answer has id %d, want 8", got.GetId())
		}
		close(release)
		if got := hear(t, stream); got.GetId() != 7 || !got.GetAnswer().GetDecision().GetAllowed() {
			t.Errorf("second answer = %v, want id 7 allowed", got)
		}
	})
}

func TestStreamVerbsAndErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &owner{decide: func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			switch req.Key {
			case "panic":
				panic("boom")
			case "away":
				return bucketring.Decision{}, bucketring.ErrUnavailable
			}
			return allow(req), nil
		}}
		stream, s := streamed(t.Context(), w, o)
		for verb := range limitpb.Verb(4) {
			m := &limitpb.StreamRequest{Id: uint64(verb), Verb: verb, Request: &limitpb.TakeRequest{Key: "k", Limit: "9/m"}}
			if err := stream.Send(m); err != nil {
				t.Fatal(err)
			}
			if got := hear(t, stream); got.GetAnswer().GetDecision() == nil || o.last.Verb != bucketring.Verb(verb) {
				t.Errorf("%v = %v, arrived as %v", verb, got, o.last.Verb)
			}
		}
		for _, tt := range []struct {
			m    *limitpb.StreamRequest
			want codes.Code
		}{
			{&limitpb.StreamRequest{Request: &limitpb.TakeRequest{Key: "panic", Limit: "9/m"}}, codes.Internal},
			{&limitpb.StreamRequest{Request: &limitpb.TakeRequest{Key: "away", Limit: "9/m"}}, codes.Unavailable},
			{&limitpb.StreamRequest{Request: &limitpb.TakeRequest{Key: "k", Limit: "x"}}, codes.InvalidArgument},
			{&limitpb.StreamRequest{Verb: 4, Request: &limitpb.TakeRequest{Key: "k", Limit: "9/m"}}, codes.InvalidArgument},
			{&limitpb.StreamRequest{Verb: 99, Request: &limitpb.TakeRequest{Key: "k", Limit: "9/m"}}, codes.InvalidArgument},
			{&limitpb.StreamRequest{Verb: -1, Request: &limitpb.TakeRequest{Key: "k", Limit: "9/m"}}, codes.InvalidArgument},
			{&limitpb.StreamRequest{}, codes.InvalidArgument},
		} {
			tt.m.Id = 99
			if err := stream.Send(tt.m); err != nil {
				t.Fatal(err)
			}
			got := hear(t, stream)
			e := got.GetAnswer().GetError()
			if got.GetId() != 99 || codes.Code(e.GetCode()) != tt.want || strings.Contains(e.GetDetail(), "rpc error") {
				t.Errorf("answer to %v = %v, want id 99, %v and a text for people", tt.m, got, tt.want)
			}
		}
		if got := s.Panics(); got != 1 {
			t.Errorf("Panics() = %d, want 1", got)
		}
	})
}

// TestStreamEndDrains: whoever has sent all still gets all answers, then EOF.
func TestStreamEndDrains(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &owner{decide: func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
			select {
			case <-time.After(time.Second):
				return allow(req), nil
			case <-ctx.Done():
				return bucketring.Decision{}, ctx.Err()
			}
		}}
		stream, _ := streamed(t.Context(), w, o)
		const calls = 100
		for id := range uint64(calls) {
			ask(t, stream, id, fmt.Sprint(id))
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		seen := map[uint64]bool{}
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("Recv after %d answers: %v", len(seen), err)
			}
			seen[m.GetId()] = m.GetAnswer().GetDecision().GetAllowed()
		}
		for id := range uint64(calls) {
			if !seen[id] {
				t.Errorf("no decision on %d before EOF", id)
			}
		}
	})
}

// TestStreamIsBounded: a stream cannot make the server decide, or keep answers
// for, any number of requests at once.
func TestStreamIsBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		release := make(chan struct{})
		o := &owner{decide: func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			<-release
			return allow(req), nil
		}}
		stream, _ := streamed(t.Context(), w, o)
		const calls = 3 * transport.InFlight
		go func() {
			for id := range uint64(calls) {
				ask(t, stream, id, fmt.Sprint(id))
			}
			stream.CloseSend()
		}()
		synctest.Wait()
		if got := o.total(); got != transport.InFlight {
			t.Errorf("%d requests in flight, want %d", got, transport.InFlight)
		}
		close(release)
		for range calls {
			hear(t, stream)
		}
	})
}

// TestStreamWhoseCallerIsGone ends all that it began; the bubble finds what is
// left.
func TestStreamWhoseCallerIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &owner{decide: func(ctx context.Context, _ bucketring.Request) (bucketring.Decision, error) {
			<-ctx.Done()
			return bucketring.Decision{}, ctx.Err()
		}}
		ctx, cancel := context.WithCancel(t.Context())
		stream, _ := streamed(ctx, w, o)
		for id := range uint64(2 * transport.InFlight) {
			ask(t, stream, id, "k")
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if _, err := stream.Recv(); err == nil {
			t.Errorf("Recv of a cancelled stream brought an answer")
		}
	})
}

// TestStreamThatIsNotRead: a caller that never reads holds up itself alone.
func TestStreamThatIsNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &owner{}
		conn := w.serve(transport.NewServer(o))
		api := limitpb.NewLimiterClient(conn)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := api.TakeStream(ctx)
		if err != nil {
			t.Fatal(err)
		}
		const calls = 50000
		go func() {
			for id := range uint64(calls) {
				if stream.Send(&limitpb.StreamRequest{Id: id, Request: &limitpb.TakeRequest{Key: "k", Limit: "100/m"}}) != nil {
					return
				}
			}
		}()
		synctest.Wait()
		if got := o.times("k"); got == 0 || got == calls {
			t.Errorf("%d requests of a caller that does not read were decided, want some and not all", got)
		}
		if _, err := api.Take(ctx, &limitpb.TakeRequest{Key: "other", Limit: "100/m"}); err != nil {
			t.Errorf("Take beside it = %v, want a decision", err)
		}
	})
}
