package resp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// limiterFunc is a Limiter made of one function, which decides nothing at once.
type limiterFunc func(context.Context, bucketring.Request) (bucketring.Decision, error)

func (f limiterFunc) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	return f(ctx, req)
}

// An immediate is a Limiter that decides what it can at once.
type immediate struct {
	limiterFunc
	now func(*bucketring.Request, *bucketring.Decision) bool
}

func (i immediate) Now() int64 { return 0 }

func (i immediate) TakeNow(_ int64, req *bucketring.Request, d *bucketring.Decision) bool {
	return i.now(req, d)
}

// allowing is a Limiter that allows all.
func allowing(context.Context, bucketring.Request) (bucketring.Decision, error) {
	return bucketring.Decision{Allowed: true}, nil
}

// pipes is a listener of connections in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

// A door is a served Server.
type door struct {
	*resp.Server
	t       testing.TB
	pipes   *pipes
	served  chan error
	clients []*client
}

// open serves cfg until the test is over.
func open(t testing.TB, cfg resp.Config) *door {
	d := &door{Server: resp.NewServer(cfg), t: t, pipes: newPipes(), served: make(chan error, 1)}
	go func() { d.served <- d.Serve(d.pipes) }()
	return d
}

// close ends all there is and waits for it, as a bubble wants.
func (d *door) close() {
	if err := d.Close(); err != nil {
		d.t.Errorf("Close: %v", err)
	}
	for _, c := range d.clients {
		_ = c.Close()
	}
	if err := <-d.served; err != nil {
		d.t.Errorf("Serve: %v", err)
	}
}

// A client is one end of a connection.
type client struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func (d *door) client() *client {
	d.t.Helper()
	ours, theirs := net.Pipe()
	d.pipes.conns <- theirs
	c := &client{ours, d.t, bufio.NewReader(ours)}
	d.clients = append(d.clients, c)
	return c
}

// send writes text, which waits until it is read.
func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatalf("send %.100q: %v", text, err)
	}
}

// do sends a command and returns the bytes of its reply.
func (c *client) do(words ...string) string {
	c.t.Helper()
	c.send(wire(words...))
	return c.reply()
}

// reply returns the bytes of the next reply.
func (c *client) reply() string {
	c.t.Helper()
	text, err := readReply(c.r)
	if err != nil {
		c.t.Fatalf("reply: %v after %.100q", err, text)
	}
	return text
}

// ended demands that the server has closed the connection after its last reply.
func (c *client) ended() {
	c.t.Helper()
	if text, err := readReply(c.r); !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) {
		c.t.Errorf("got %.100q, %v, want the end of the connection", text, err)
	}
}

// expect compares the reply to words.
func (c *client) expect(want string, words ...string) {
	c.t.Helper()
	if got := c.do(words...); got != want {
		c.t.Errorf("%.200q\ngot  %.300q\nwant %.300q", words, got, want)
	}
}

// readReply reads one reply of either version and returns its bytes. It knows what
// may be in one, and nothing else passes.
func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return line, err
	}
	body, ok := strings.CutSuffix(line, "\r\n")
	if !ok || body == "" || strings.ContainsAny(body, "\r\n") {
		return line, fmt.Errorf("%.100q is no line of a reply", line)
	}
	kind, rest := body[0], body[1:]
	switch {
	case kind == '+' || kind == '-' && rest != "" || body == "_" || body == "$-1":
		return line, nil
	case strings.IndexByte(":$*%", kind) < 0:
		return line, fmt.Errorf("%.100q is no reply", line)
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil:
		return line, err
	case kind == ':':
		return line, nil
	case n < 0 || n > 1<<20:
		return line, fmt.Errorf("%q is not a length that we send", line)
	case kind == '$':
		text := make([]byte, n+2)
		if _, err := io.ReadFull(r, text); err != nil {
			return line, err
		}
		if !strings.HasSuffix(string(text), "\r\n") {
			return line, fmt.Errorf("%.100q has another length", text)
		}
		return line + string(text), nil
	case kind == '%':
		n *= 2
	}
	for range n {
		part, err := readReply(r)
		if line += part; err != nil {
			return line, err
		}
	}
	return line, nil
}

// numbers is the reply that is a list of integers.
func numbers(all ...int64) string {
	var text strings.Builder
	text.WriteString(fmt.Sprintf("*%d\r\n", len(all)))
	for _, n := range all {
		text.WriteString(fmt.Sprintf(":%d\r\n", n))
	}
	return text.String()
}

// bulk is the reply that is a text.
func bulk(text string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) }
