package client_test

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/policy"
)

// stream is what a handshake of the policy lesan says.
var stream = map[string]string{"op": "stream", "api_key": "A"}

// lesan reads the real policy, with changes: old text, new text, and so on.
func lesan(t testing.TB, changes ...string) *policy.Policy {
	t.Helper()
	text, err := os.ReadFile("../deploy/policies/lesan.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(string(text), changes[i]) {
			t.Fatalf("the policy has no %q to change", changes[i])
		}
	}
	p, err := policy.Parse("lesan.yaml", []byte(strings.NewReplacer(changes...).Replace(string(text))), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func open(t testing.TB, all *client.Sockets, p *policy.Policy) *client.Socket {
	t.Helper()
	s, err := all.Open(p, nil, stream)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// admits wants exactly n of n+1 calls admitted, and the reason why not the last.
func admits(t *testing.T, s *client.Socket, n int, bytes int64, want client.CloseFrame) {
	t.Helper()
	for i := range n {
		if frame, ok := s.Allow(1, bytes); !ok {
			t.Fatalf("Allow no. %d closes with %v, want %d admitted", i+1, frame, n)
		}
	}
	if frame, ok := s.Allow(1, bytes); ok || frame != want {
		t.Fatalf("Allow no. %d = %v, %v, want closed with %v", n+1, frame, ok, want)
	}
}

var (
	messageRate = client.CloseFrame{Code: 4029, Reason: "message rate"}
	dataRate    = client.CloseFrame{Code: 4029, Reason: "data rate"}
)

// TestL9 is vector L9, with time passing after it.
func TestL9(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, p := client.NewSockets(), lesan(t)
		s, other := open(t, all, p), open(t, all, p)
		admits(t, s, 100, 0, messageRate)
		admits(t, other, 100, 0, messageRate) // has limits of its own

		s = open(t, all, p)
		if frame, ok := s.Allow(1, 1_000_001); ok || frame != dataRate {
			t.Errorf("Allow of 1,000,001 bytes = %v, %v, want closed with %v", frame, ok, dataRate)
		}
		admits(t, s, 1, 1_000_000, dataRate)
		admits(t, s, 99, 0, messageRate) // denials have charged nothing

		time.Sleep(10 * time.Millisecond)
		admits(t, s, 1, 10_000, messageRate) // both are violated: the first in the file
		time.Sleep(10*time.Millisecond - time.Microsecond)
		admits(t, s, 0, 0, messageRate)
		time.Sleep(time.Hour)
		admits(t, s, 100, 10_000, messageRate)
	})
}

// TestFirstOfTheFile closes, also if the other limit is exceeded by more.
func TestFirstOfTheFile(t *testing.T) {
	s := open(t, client.NewSockets(), lesan(t))
	for _, tt := range []struct {
		messages, bytes int64
		want            client.CloseFrame
	}{
		{101, 1 << 40, messageRate},
		{1, 1 << 40, dataRate},
		{1 << 62, 0, messageRate},
	} {
		if frame, ok := s.Allow(tt.messages, tt.bytes); ok || frame != tt.want {
			t.Errorf("Allow(%d, %d) = %v, %v, want %v", tt.messages, tt.bytes, frame, ok, tt.want)
		}
	}
	if frame, ok := s.Allow(0, 0); !ok {
		t.Errorf("Allow of nothing = %v, want admitted", frame)
	}
	if frame, ok := s.Allow(-5, -5); !ok {
		t.Errorf("Allow of less than nothing = %v, want admitted", frame)
	}
	if frame, ok := s.Allow(100, 1_000_000); !ok {
		t.Errorf("Allow of all there is = %v, want admitted", frame)
	}
}

// TestSocketClosedAndSwept: counters end with their socket, and no live one does.
func TestSocketClosedAndSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, p := client.NewSockets(), lesan(t)
		live := open(t, all, p)
		admits(t, live, 100, 1, messageRate)
		for range 1000 {
			s := open(t, all, p)
			s.Allow(1, 1)
			s.Close()
		}
		admits(t, live, 0, 0, messageRate)
		var many []*client.Socket
		for range 1000 {
			s := open(t, all, p)
			s.Allow(1, 1)
			many = append(many, s)
		}
		if n := all.Counters(); n < 2000 {
			t.Errorf("%d counters are kept of 1000 open sockets, want both of each", n)
		}
		for _, s := range many {
			s.Close()
		}
		if n := all.Counters(); n > 600 {
			t.Errorf("%d counters are kept after 1000 sockets were closed, want those of the last few", n)
		}
		live.Close()
		admits(t, live, 100, 0, messageRate) // usable, and forgotten what was
		for range 1000 {                     // also of sockets that nobody closed
			open(t, all, p).Allow(1, 1)
		}
		time.Sleep(time.Second)
		for range 256 {
			open(t, all, p)
		}
		if n := all.Counters(); n != 0 {
			t.Errorf("%d counters are kept although all are full again, want none", n)
		}
	})
}

// TestL10 is the clock's part of vector L10; the lease is KeepLeases's.
func TestL10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		at, frame := open(t, client.NewSockets(), lesan(t)).Expires()
		if age := at.Sub(began); age != 30*time.Minute || frame.Code != 4029 || frame.Reason == "" {
			t.Errorf("Expires() = after %v with %v, want 30m and 4029", age, frame)
		}
		s := open(t, client.NewSockets(), lesan(t, ", max: 30m", ""))
		if at, frame := s.Expires(); !at.IsZero() || frame != (client.CloseFrame{}) {
			t.Errorf("Expires() without max = %v, %v, want never", at, frame)
		}
	})
}

func TestSocketWithoutCloseCode(t *testing.T) {
	p := lesan(t, "close_code: 4029, close_reason: message rate", "status: 429", "limit: 100\n    per", "limit: 0\n    per")
	want := client.CloseFrame{Code: 1008, Reason: "limit ws-messages exceeded"}
	admits(t, open(t, client.NewSockets(), p), 0, 0, want)
}

func TestSocketPrecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := lesan(t, "unit: messages\n    limit: 100", "unit: messages\n    precision: 6\n    limit: 1.5")
		s := open(t, client.NewSockets(), p)
		admits(t, s, 1, 0, messageRate)
		time.Sleep(333_334 * time.Microsecond) // half a message more
		admits(t, s, 1, 0, messageRate)
		if frame, ok := s.Allow(1<<62, 0); ok || frame != messageRate { // does not fit with its decimals
			t.Errorf("Allow = %v, %v, want %v", frame, ok, messageRate)
		}
	})
}

func TestSocketOfOtherCalls(t *testing.T) {
	all, p := client.NewSockets(), lesan(t)
	s, err := all.Open(p, nil, map[string]string{"op": "upload"})
	if err != nil {
		t.Fatal(err)
	}
	if frame, ok := s.Allow(1e9, 1e9); !ok {
		t.Errorf("Allow where no limit applies = %v, want admitted", frame)
	}
	if _, err := all.Open(p, nil, map[string]string{"op": strings.Repeat("x", 1<<20)}); !errors.Is(err, bucketring.ErrInvalid) {
		t.Errorf("Open with an attribute of 1 MiB = %v, want ErrInvalid", err)
	}
}

// TestSocketAllOrNothingAtOnce: of two calls that want the last bytes at the same
// time, the one that is denied has charged no message.
func TestSocketAllOrNothingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, p := client.NewSockets(), lesan(t)
		for range 500 {
			s := open(t, all, p)
			var admitted atomic.Int64
			var group sync.WaitGroup
			for range 4 {
				group.Go(func() {
					for range 4 {
						if _, ok := s.Allow(1, 100_000); ok {
							admitted.Add(1)
						}
					}
				})
				group.Go(func() { s.Allow(0, 100_000) })
			}
			group.Wait()
			admits(t, s, 100-int(admitted.Load()), 0, messageRate)
		}
	})
}

// TestSocketMemory holds what the comment of Sockets says.
func TestSocketMemory(t *testing.T) {
	const count = 20_000
	all, p := client.NewSockets(), lesan(t)
	sockets := make([]*client.Socket, count)
	before := heap()
	for i := range sockets {
		sockets[i] = open(t, all, p)
		sockets[i].Allow(100, 1_000_000)
	}
	each := (heap() - before) / count
	t.Logf("%d bytes a socket", each)
	if each > 600 {
		t.Errorf("a socket uses %d bytes, want at most 600", each)
	}
	runtime.KeepAlive(sockets)
}

func heap() int64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestAllowDoesNotAllocate(t *testing.T) {
	s := open(t, client.NewSockets(), lesan(t))
	s.Allow(1, 1)
	if n := testing.AllocsPerRun(100, func() { s.Allow(0, 1) }); n != 0 {
		t.Errorf("Allow allocates %v times, want 0", n)
	}
}

func BenchmarkSocketAllow(b *testing.B) {
	s := open(b, client.NewSockets(), lesan(b, "limit: 100\n    per: 1s", "limit: 1000000000\n    per: 1s", "limit: 1MB", "limit: 1GB"))
	b.ReportAllocs()
	for b.Loop() {
		if frame, ok := s.Allow(1, 1); !ok {
			b.Fatal(frame)
		}
	}
}

func BenchmarkSocketsOpen(b *testing.B) {
	all, p := client.NewSockets(), lesan(b)
	b.ReportAllocs()
	for b.Loop() {
		s := open(b, all, p)
		s.Allow(1, 100)
		s.Close()
	}
}
