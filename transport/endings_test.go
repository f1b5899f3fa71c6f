// endings_test.go has calls of streams that nobody answers in their time.

package transport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/limitpb"

	"google.golang.org/grpc"
)

// hanging decides long after nobody waits any more.
func hanging(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	<-ctx.Done()
	time.Sleep(10 * time.Second)
	return allow(req), nil
}

func boundedTake(ctx context.Context, c *transport.StreamClient, most time.Duration, key string) error {
	_, err := c.TakeWithin(ctx, most, bucketring.Request{Key: key, Limits: perMinute, Cost: 1})
	return err
}

// TestLateCallsEndTogether: where many calls are late, none waits more than an eighth beyond
// its bound, the first one not at all, and all are looked at a few times only.
func TestLateCallsEndTogether(t *testing.T) {
	const short, long = 80 * time.Millisecond, 320 * time.Millisecond
	for _, tt := range []struct {
		name  string
		bound func(i int) time.Duration
		ends  int // at most, of one in each 10 ms that the shortest bound permits
	}{
		{"equal", func(int) time.Duration { return short }, 12},
		{"long first", func(i int) time.Duration { return max(short, long-time.Duration(i)*time.Millisecond) }, 40},
		{"mixed", func(i int) time.Duration { return []time.Duration{short, long}[i%2] }, 40},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				c, _ := streamClient(w, limiterFunc(hanging))
				var group sync.WaitGroup
				var mu sync.Mutex
				ends := map[time.Time]int{}
				for i := range 1000 {
					group.Go(func() {
						began, most := time.Now(), tt.bound(i)
						err := boundedTake(t.Context(), c, most, fmt.Sprint(i))
						if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took < most || took > most+most/8 {
							t.Errorf("call %d within %v = %v after %v, want DeadlineExceeded by %v", i, most, err, took, most+most/8)
						} else if i == 0 && tt.name != "long first" && took != most {
							t.Errorf("the first call within %v was given up after %v", most, took)
						}
						mu.Lock()
						defer mu.Unlock()
						ends[time.Now()]++
					})
					time.Sleep(100 * time.Microsecond)
				}
				group.Wait()
				if len(ends) > tt.ends {
					t.Errorf("1000 calls ended at %d moments, want at most %d", len(ends), tt.ends)
				}
				if c.Ends() {
					t.Error("a timer waits though no call does")
				}
			})
		})
	}
}

// TestShorterBound: a call that may take less than those before it ends first.
func TestShorterBound(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, _ := streamClient(w, limiterFunc(hanging))
		var group sync.WaitGroup
		began := time.Now()
		for _, most := range []time.Duration{time.Hour, 0, time.Minute, time.Second, time.Millisecond} {
			group.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
				defer cancel()
				_ = boundedTake(ctx, c, most, "k")
				if most == 0 {
					most = 2 * time.Hour
				}
				if took := time.Since(began); took != most {
					t.Errorf("a call within %v took %v", most, took)
				}
			})
			synctest.Wait()
		}
		group.Wait()
	})
}

// TestPatientCall waits on while others are given up.
func TestPatientCall(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, _ := streamClient(w, limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			time.Sleep(time.Minute)
			return allow(req), nil
		}))
		patient := make(chan error, 1)
		go func() { patient <- boundedTake(t.Context(), c, 0, "k") }()
		if err := boundedTake(t.Context(), c, time.Second, "k"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call within a second = %v, want its deadline", err)
		}
		if err := <-patient; err != nil {
			t.Errorf("a call without a bound = %v, want its answer", err)
		}
	})
}

// TestTimerEnds: it waits for nothing once all is answered, nor after Close.
func TestTimerEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		o := &promptOwner{}
		c, _ := streamClient(w, o)
		for i := range 100 {
			if err := boundedTake(t.Context(), c, time.Second, fmt.Sprint(i)); err != nil {
				t.Fatal(err)
			}
		}
		if !c.Ends() {
			t.Error("no timer waits a moment after a call that had one")
		}
		time.Sleep(time.Second)
		if synctest.Wait(); c.Ends() {
			t.Error("a timer waits a second after the last call")
		}
		o.decide = hanging
		ended := make(chan error, 1)
		go func() { ended <- boundedTake(t.Context(), c, time.Hour, "slow") }()
		synctest.Wait()
		c.Close()
		wantUnavailable(t, "slow", <-ended)
		if c.Ends() {
			t.Error("a timer waits after Close")
		}
	})
}

// A mutedServer answers the first message of a stream, and then reads nothing until it is
// told to. It may answer calls that it has not read.
type mutedServer struct {
	*transport.Server
	answer chan []uint64
	read   chan struct{}
	mu     sync.Mutex
	seen   map[string]int // calls by key; guarded by mu
}

func (s *mutedServer) TakeStream(stream limitpb.Limiter_TakeStreamServer) error {
	m, err := stream.Recv()
	if err != nil {
		return err
	}
	ids, reading := []uint64{m.GetId()}, false
	for {
		allowed := &limitpb.Answer{Result: &limitpb.Answer_Decision{Decision: &limitpb.Decision{Allowed: true}}}
		all := &limitpb.StreamResponse{Id: ids[0], Answer: allowed}
		for _, id := range ids[1:] {
			all.More = append(all.More, &limitpb.StreamResponse{Id: id, Answer: allowed})
		}
		if err := stream.Send(all); err != nil {
			return err
		}
		select {
		case ids = <-s.answer:
		case <-s.read:
			reading = true
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
		for reading {
			if m, err = stream.Recv(); err != nil {
				return err
			}
			s.mu.Lock()
			for _, one := range append(m.GetMore(), m) {
				s.seen[one.GetRequest().GetAttributes()["key"]]++
			}
			s.mu.Unlock()
		}
	}
}

// fillStream asks a server that reads nothing until calls wait on this side, too. Each is given up.
func fillStream(t *testing.T, c *transport.StreamClient, from, count int) {
	t.Helper()
	large := strings.Repeat("x", 30<<10)
	for i := from; i < from+count; i++ {
		req := bucketring.Request{Namespace: "n", Attributes: map[string]string{"text": large, "key": fmt.Sprint(i)}, Cost: 1}
		if _, err := c.TakeWithin(t.Context(), 50*time.Millisecond, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("call %d = %v, want its deadline", i, err)
		}
	}
}

func mutedClient(w *world) (*transport.StreamClient, *mutedServer) {
	w.Helper()
	s := &mutedServer{transport.NewServer(&promptOwner{}), make(chan []uint64), make(chan struct{}), sync.Mutex{}, map[string]int{}}
	g := grpc.NewServer()
	limitpb.RegisterLimiterServer(g, s)
	c := transport.NewStreamClient(w.connected(g))
	w.Cleanup(c.Close)
	if err := boundedTake(w.Context(), c, 0, "first"); err != nil {
		w.Fatal(err)
	}
	return c, s
}

// TestCallsThatEndInTheQueue are not sent any more, and no later one in their place.
func TestCallsThatEndInTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, s := mutedClient(w)
		fillStream(t, c, 0, 40)
		later := make(chan error, 10)
		for i := range cap(later) {
			go func() {
				req := bucketring.Request{Namespace: "n", Attributes: map[string]string{"key": fmt.Sprint("later", i)}, Cost: 1}
				_, err := c.TakeWithin(t.Context(), time.Minute, req)
				later <- err
			}()
		}
		synctest.Wait()
		close(s.read)
		for range cap(later) {
			if err := <-later; !errors.Is(err, context.DeadlineExceeded) { // it answers nothing, either
				t.Errorf("a later call = %v, want its deadline", err)
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		sent := 0
		for key, times := range s.seen {
			if times != 1 {
				t.Errorf("call %s was sent %d times, want once", key, times)
			}
			if !strings.HasPrefix(key, "later") {
				sent++
			} else {
				delete(s.seen, key)
			}
		}
		if len(s.seen) != sent || sent == 0 || sent > 20 {
			t.Errorf("%d of 40 calls were sent, want those alone that fit the stream", sent)
		}
	})
}

// TestAnswersNobodyAskedFor: what was not sent was not decided, and a message with more
// answers than calls ends the stream.
func TestAnswersNobodyAskedFor(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c, s := mutedClient(w)
		fillStream(t, c, 0, 40)
		ended := make(chan error, 1)
		go func() { ended <- boundedTake(t.Context(), c, time.Second, "waits") }()
		synctest.Wait()
		s.answer <- []uint64{42}
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call that was not sent = %v, want its deadline", err)
		}
		go func() { ended <- boundedTake(t.Context(), c, time.Hour, "waits, too") }()
		synctest.Wait()
		s.answer <- make([]uint64, transport.MaxBatch+2)
		wantUnavailable(t, "waits, too", <-ended)
	})
}
