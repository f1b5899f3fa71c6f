package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

// A world is a server on loopback, with the policy that it ships with.
type world struct {
	*testing.T
	limiter *limiter
	http    *httptest.Server
	ended   chan struct{} // one for each request whose handler has returned
}

// A limiter counts what a node is asked.
type limiter struct {
	*node.Node
	renewed, released atomic.Int64
}

func (l *limiter) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	switch req.Verb {
	case bucketring.VerbRenew:
		l.renewed.Add(1)
	case bucketring.VerbRelease:
		l.released.Add(1)
	}
	return l.Node.Take(ctx, req)
}

// start starts the server; changes are old text of the policy, new text, and so on.
func start(t *testing.T, ttl time.Duration, changes ...string) *world {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/policies/lesan.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(string(text), changes[i]) {
			t.Fatalf("the policy has no %q to change", changes[i])
		}
	}
	file := filepath.Join(t.TempDir(), "lesan.yaml")
	if err := os.WriteFile(file, []byte(strings.NewReplacer(changes...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	policies, err := policy.Load(file, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	n.SetPolicies(policies)
	w := &world{T: t, limiter: &limiter{Node: n}, ended: make(chan struct{}, 100)}
	server := newServer(w.limiter, policies, ttl)
	w.http = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		server.ServeHTTP(rw, r)
		w.ended <- struct{}{}
	}))
	t.Cleanup(w.http.Close)
	return w
}

func (w *world) dial() (*websocket.Conn, *http.Response, error) {
	return websocket.Dial(w.Context(), w.http.URL, &websocket.DialOptions{
		HTTPHeader: http.Header{"Authorization": {"Bearer key-A"}},
	})
}

func (w *world) open() *websocket.Conn {
	w.Helper()
	conn, _, err := w.dial()
	if err != nil {
		w.Fatalf("dial: %v", err)
	}
	w.Cleanup(func() { conn.CloseNow() })
	return conn
}

// echoes wants the socket to work.
func (w *world) echoes(conn *websocket.Conn) {
	w.Helper()
	if err := conn.Write(w.Context(), websocket.MessageText, []byte("hello")); err != nil {
		w.Fatalf("write: %v", err)
	}
	if _, message, err := conn.Read(w.Context()); err != nil || string(message) != "hello" {
		w.Fatalf("read = %q, %v, want the echo", message, err)
	}
}

// closed reads up to the close frame, which is to be 4029 with the reason, and
// returns the number of messages before it.
func (w *world) closed(conn *websocket.Conn, reason string) (messages int) {
	w.Helper()
	for ; ; messages++ {
		_, _, err := conn.Read(w.Context())
		if err == nil {
			continue
		}
		var frame websocket.CloseError
		if want := (websocket.CloseError{Code: 4029, Reason: reason}); !errors.As(err, &frame) || frame != want {
			w.Fatalf("the socket ended with %v, want %v", err, want)
		}
		return messages
	}
}

// held returns how many sockets the limiter counts for the caller.
func (w *world) held() int64 {
	w.Helper()
	caller := map[string]string{"op": "stream", "api_key": fmt.Sprintf("%x", sha256.Sum256([]byte("key-A")))}
	d, err := w.limiter.Take(w.Context(), bucketring.Request{Verb: bucketring.VerbUsage, Namespace: namespace, Attributes: caller})
	if err != nil {
		w.Fatal(err)
	}
	for _, l := range d.All() {
		if l.Name == "ws-connections" {
			return l.Used
		}
	}
	w.Fatalf("usage has no ws-connections: %+v", d.All())
	return 0
}

func TestSixthSocket(t *testing.T) {
	w := start(t, time.Minute)
	var five []*websocket.Conn
	for range 5 {
		five = append(five, w.open())
	}
	w.closed(w.open(), "too many connections")
	<-w.ended
	for _, conn := range five {
		w.echoes(conn)
	}
	if n := w.held(); n != 5 {
		t.Errorf("%d sockets are counted, want 5", n)
	}
	five[0].Close(websocket.StatusNormalClosure, "")
	<-w.ended // its place is free when the handler has returned
	w.echoes(w.open())
}

// TestSixthSocketOverHTTP: a limit without a close code refuses the handshake.
func TestSixthSocketOverHTTP(t *testing.T) {
	w := start(t, time.Minute, "deny: {close_code: 4029, close_reason: too many connections}", "deny: {status: 429}")
	for range 5 {
		w.open()
	}
	_, res, err := w.dial()
	if err == nil || res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" ||
		res.Header.Get("Content-Type") != "application/json" {
		t.Errorf("dial = %v with %+v, want 429 with headers and body", err, res)
	}
}

func TestMessageRate(t *testing.T) {
	w := start(t, time.Minute)
	talker, other := w.open(), w.open()
	began := time.Now()
	for range 500 { // far more than 100 and what a slow test is given meanwhile
		if talker.Write(t.Context(), websocket.MessageText, []byte("x")) != nil {
			break
		}
	}
	n := w.closed(talker, "message rate")
	if most := 100 + int(time.Since(began)/(10*time.Millisecond)); n < 100 || n > most {
		t.Errorf("%d messages passed, want 100 to %d", n, most)
	}
	w.echoes(other)
}

func TestDataRate(t *testing.T) {
	w := start(t, time.Minute)
	talker, other := w.open(), w.open()
	if err := talker.Write(t.Context(), websocket.MessageBinary, make([]byte, 1_000_001)); err != nil {
		t.Fatal(err)
	}
	if n := w.closed(talker, "data rate"); n != 0 {
		t.Errorf("%d messages passed, want none", n)
	}
	other.SetReadLimit(readLimit)
	if err := other.Write(t.Context(), websocket.MessageBinary, make([]byte, 1_000_000)); err != nil {
		t.Fatal(err)
	}
	if _, message, err := other.Read(t.Context()); err != nil || len(message) != 1_000_000 {
		t.Errorf("read = %d bytes, %v, want all 1,000,000", len(message), err)
	}
}

// TestSessionAge: renewed all the time, a socket lasts as long as a lease can.
func TestSessionAge(t *testing.T) {
	w := start(t, time.Second, "lease: {ttl: 60s, renewable: true, max: 30m}", "lease: {ttl: 1s, renewable: true, max: 2s}")
	began := time.Now()
	conn := w.open()
	w.echoes(conn)
	w.closed(conn, "session too long")
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("the socket was closed after %v, want 2s", took)
	}
	<-w.ended
	if w.held() != 0 || w.limiter.renewed.Load() == 0 || w.limiter.released.Load() != 1 {
		t.Errorf("%d sockets are counted after %d renewals and %d releases, want none after some and one",
			w.held(), w.limiter.renewed.Load(), w.limiter.released.Load())
	}
}

// TestNoSocket: whoever takes a place and does not speak WebSocket gives it back.
func TestNoSocket(t *testing.T) {
	w := start(t, time.Minute)
	res, err := w.http.Client().Get(w.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	<-w.ended
	if res.StatusCode != http.StatusUpgradeRequired || w.limiter.released.Load() != 1 {
		t.Errorf("GET = %d with %d releases, want 426 and one", res.StatusCode, w.limiter.released.Load())
	}
}
