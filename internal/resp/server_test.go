package resp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

func TestShutdownAnswersWhatWasReceived(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, d *door) {
		busy, idle := d.client(), d.client()
		busy.send(throttled("far", 1, 1) + wire("PING") + throttled("far", 2, 1) + "*1\r\n$4\r\nPI")
		down := make(chan error)
		go func() { down <- d.Shutdown(t.Context()) }()
		idle.ended()
		select {
		case err := <-down:
			t.Fatalf("Shutdown has returned %v before the last reply", err)
		default:
		}
		go func() { g.pass <- struct{}{}; g.pass <- struct{}{} }()
		for _, want := range []string{numbers(0, 1, 0, -1, 1), "+PONG\r\n", numbers(0, 2, 0, -1, 1)} {
			if got := busy.reply(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		busy.ended()
		if err := <-down; err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := d.Serve(newPipes()); err != nil {
			t.Errorf("Serve after Shutdown: %v", err)
		}
	})
}

func TestShutdownEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, _ *gate, d *door) {
		c := d.client()
		c.send(throttled("far", 1, 1))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := d.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Shutdown: %v", err)
		}
		c.ended()
	})
}

func TestMostConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, resp.Config{Limiter: limiterFunc(allowing), MaxConnections: 2})
		defer d.close()
		first := d.client()
		first.expect("+PONG\r\n", "PING")
		d.client().expect("+PONG\r\n", "PING")
		third := d.client()
		if got := third.reply(); got != "-ERR max number of clients reached\r\n" {
			t.Errorf("the third is told %q", got)
		}
		third.ended()
		first.expect(ok, "QUIT")
		first.ended()
		synctest.Wait()
		d.client().expect("+PONG\r\n", "PING")
		if got := d.Stats(); got != (resp.Stats{Connections: 2, Commands: 4}) {
			t.Errorf("Stats = %+v", got)
		}
	})
}

func TestIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := open(t, resp.Config{Limiter: limiterFunc(allowing)})
		defer d.close()
		c, began := d.client(), time.Now()
		time.Sleep(4 * time.Minute) // of virtual time
		c.expect("+PONG\r\n", "PING")
		c.ended()
		if got := time.Since(began); got != 9*time.Minute {
			t.Errorf("closed after %v, want 5 m after the command that came after 4 m", got)
		}
	})
}

func TestForwardWithin(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{0: 10 * time.Millisecond, time.Second: time.Second} {
		synctest.Test(t, func(t *testing.T) {
			d := open(t, resp.Config{ForwardWithin: set, Limiter: limiterFunc(
				func(ctx context.Context, _ bucketring.Request) (d bucketring.Decision, err error) {
					deadline, _ := ctx.Deadline()
					d.Remaining = int64(time.Until(deadline))
					return d, nil
				})})
			defer d.close()
			d.client().expect(numbers(1, 1e10, int64(want), 1, 0), "CL.THROTTLE", "k", "9999999999", "1", "1")
		})
	}
}

func TestPanicsCostOneCommand(t *testing.T) {
	var log bytes.Buffer
	fail := func(req *bucketring.Request) {
		if strings.HasPrefix(req.Key, "secret") {
			panic(req.Key)
		}
	}
	d := open(t, resp.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Limiter: immediate{
		func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			fail(&req)
			return bucketring.Decision{Allowed: true}, nil
		},
		func(req *bucketring.Request, d *bucketring.Decision) bool {
			if strings.HasSuffix(req.Key, "far") {
				return false
			}
			fail(req)
			d.Allowed = true
			return true
		},
	}})
	defer d.close()
	c := d.client()
	c.send(throttled("a", 1, 1) + throttled("secret", 2, 1) + throttled("secretfar", 3, 1) + throttled("secretfar", 4, 1) +
		wire("DEL", "secret") + throttled("afar", 5, 1))
	const broken = "-ERR internal error\r\n"
	for _, want := range []string{numbers(0, 1, 0, -1, 0), broken, broken, broken, broken, numbers(0, 5, 0, -1, 0)} {
		if got := c.reply(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := d.Stats().Panics; got != 4 {
		t.Errorf("%d panics were counted, want 4", got)
	}
	if text := log.String(); !strings.Contains(text, "command panicked") || strings.Contains(text, "secret") {
		t.Errorf("the log says %q", text)
	}
}

func TestProtocolErrorComesAfterWhatWasBefore(t *testing.T) {
	bubble(t, func(t *testing.T, g *gate, d *door) {
		c := d.client()
		c.send(throttled("far", 1, 1) + "*x\r\n" + wire("PING"))
		go func() { g.pass <- struct{}{} }()
		for _, want := range []string{numbers(0, 1, 0, -1, 1), "-ERR Protocol error: invalid multibulk length\r\n"} {
			if got := c.reply(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		c.ended()
	})
}

// counted counts writes.
type counted struct {
	net.Conn
	writes atomic.Int32
}

func (c *counted) Write(b []byte) (int, error) { c.writes.Add(1); return c.Conn.Write(b) }

func TestRepliesOfOneReadLeaveTogether(t *testing.T) {
	d := open(t, resp.Config{Limiter: newCell()})
	defer d.close()
	ours, theirs := net.Pipe()
	conn := &counted{Conn: theirs}
	d.pipes.conns <- conn
	go func() { _, _ = io.WriteString(ours, strings.Repeat("PING\r\nCL.THROTTLE k 9 1 1\r\n", 100)) }()
	var want strings.Builder
	for i := range 100 {
		taken := min(int64(i), 9) + 1
		want.WriteString("+PONG\r\n" + numbers(map[bool]int64{true: 1}[i > 9], 10, 10-taken, map[bool]int64{true: 1, false: -1}[i > 9], taken))
	}
	got := make([]byte, len(want.String()))
	if _, err := io.ReadFull(ours, got); err != nil || string(got) != want.String() {
		t.Errorf("got %v (-want +got)\n%s", err, cmp.Diff(want.String(), string(got)))
	}
	if n := conn.writes.Load(); n != 1 {
		t.Errorf("200 replies left in %d writes", n)
	}
	_ = ours.Close()
}

// TestHalfClosed sends commands and the end of all commands, as printf and nc do.
func TestHalfClosed(t *testing.T) {
	c := dial(t, resp.Config{Limiter: limiterFunc(allowing)})
	if _, err := io.WriteString(c, wire("PING")+throttled("k", 1, 1)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if want := "+PONG\r\n" + numbers(0, 1, 0, -1, 0); string(got) != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// TestErrorReachesWhoStillWrites breaks a bound with much more to come: the reply must
// get through all the same.
func TestErrorReachesWhoStillWrites(t *testing.T) {
	c := dial(t, resp.Config{Limiter: limiterFunc(allowing)})
	if _, err := io.WriteString(c, "*2000\r\n"+strings.Repeat("$1\r\nx\r\n", 50000)); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if want := "-ERR Protocol error: invalid multibulk length\r\n"; string(got) != want || err != nil {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

// dial connects to a server on a socket, which both end with the test.
func dial(t testing.TB, cfg resp.Config) net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, served := resp.NewServer(cfg), make(chan error)
	go func() { served <- s.Serve(l) }()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Close()
		if err := errors.Join(s.Shutdown(context.Background()), <-served); err != nil {
			t.Error(err)
		}
	})
	return c
}

// failing is a listener that fails with each of its errors, and then for good.
type failing struct {
	*pipes
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, err
}

func TestServeOutlastsShortages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		last := errors.New("broken")
		s := resp.NewServer(resp.Config{Limiter: limiterFunc(allowing)})
		l := &failing{newPipes(), []error{syscall.EMFILE, syscall.ECONNABORTED, last}}
		if err := s.Serve(l); !errors.Is(err, last) {
			t.Errorf("Serve: %v, want %v", err, last)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestNewServerWantsALimiter(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("NewServer took no Limiter")
		}
	}()
	resp.NewServer(resp.Config{})
}
