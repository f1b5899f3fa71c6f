// Command websocket shows how a server holds its WebSockets to a policy: how many
// a caller may have, how long each may last, and what may pass through it. It
// echoes what it is sent.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	file := flag.String("policy", "../../../deploy/policies/lesan.yaml", "file with the policy")
	flag.Parse()

	policies, err := policy.Load(*file, policy.Options{})
	if err != nil {
		log.Fatal(err)
	}
	// This node lives in the server and counts for it alone. Where several servers
	// share their limits, client.Dial takes its place, and nothing else changes.
	limiter, err := node.New(node.Config{Name: "embedded"})
	if err != nil {
		log.Fatal(err)
	}
	limiter.SetPolicies(policies)
	go limiter.Run(context.Background())

	log.Fatal(http.ListenAndServe(*addr, newServer(limiter, policies, time.Minute)))
}

const (
	namespace = "lesan"
	// readLimit is the longest message that is read. It is above what the policy
	// allows in a second, so that the policy closes the socket, not the library.
	readLimit = 2 << 20
)

// A server echoes.
type server struct {
	limiter  bucketring.Limiter // how many sockets: counted for all servers
	sockets  *client.Sockets    // what passes through each: counted here
	policies *policy.Set
	ttl      time.Duration // of the policy's leases
}

func newServer(limiter bucketring.Limiter, policies *policy.Set, ttl time.Duration) *server {
	return &server{limiter: limiter, sockets: client.NewSockets(), policies: policies, ttl: ttl}
}

// ServeHTTP asks at the handshake, and holds what it was given until the end.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	lesan, err := s.policies.Policy(namespace)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	in := &policy.HTTPRequest{Method: r.Method, Path: r.URL.EscapedPath(), Header: r.Header, Length: -1}
	caller := lesan.Identify(s.policies, in, map[string]string{"op": "stream"})
	socket, err := s.sockets.Open(lesan, s.policies, caller)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	defer socket.Close()
	d, err := s.limiter.Take(r.Context(), bucketring.Request{Namespace: namespace, Attributes: caller, Cost: 1})
	switch {
	case err != nil:
		http.Error(w, "try again later", http.StatusServiceUnavailable)
	case !d.Allowed:
		refuse(w, r, d.Response)
	default:
		s.hold(w, r, d.Leases, socket)
	}
}

// refuse closes with the policy's code. Where it has none, the handshake fails.
func refuse(w http.ResponseWriter, r *http.Request, how *bucketring.Response) {
	if how.CloseCode != 0 {
		if conn, err := websocket.Accept(w, r, nil); err == nil {
			closeWith(conn, client.CloseFrame{Code: how.CloseCode, Reason: how.CloseReason})
		}
		return
	}
	for _, h := range how.Headers {
		w.Header().Set(h.Name, h.Value)
	}
	w.WriteHeader(how.Status)
	w.Write(how.Body)
}

// hold serves one socket, and keeps its leases for as long.
func (s *server) hold(w http.ResponseWriter, r *http.Request, leases []string, socket *client.Socket) {
	ctx, cancel := context.WithCancel(r.Context())
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		cancel() // so that KeepLeases only releases; Accept has answered
		_ = client.KeepLeases(ctx, s.limiter, leases, s.ttl)
		return
	}
	defer conn.CloseNow()
	var keeping sync.WaitGroup
	defer keeping.Wait()
	defer cancel()
	keeping.Go(func() {
		if err := client.KeepLeases(ctx, s.limiter, leases, s.ttl); err != nil {
			closeWith(conn, client.CloseFrame{Code: 1013, Reason: "place was lost"}) // another may have it
		}
	})
	if at, frame := socket.Expires(); !at.IsZero() {
		defer time.AfterFunc(time.Until(at), func() { closeWith(conn, frame) }).Stop()
	}
	conn.SetReadLimit(readLimit)
	echo(r.Context(), conn, socket)
}

// echo charges each message before it does anything with it.
func echo(ctx context.Context, conn *websocket.Conn, socket *client.Socket) {
	for {
		kind, message, err := conn.Read(ctx)
		if err != nil {
			return
		}
		if frame, ok := socket.Allow(1, int64(len(message))); !ok {
			closeWith(conn, frame)
			return
		}
		if err := conn.Write(ctx, kind, message); err != nil {
			return
		}
	}
}

// closeWith sends the frame and waits for the other side's.
func closeWith(conn *websocket.Conn, frame client.CloseFrame) {
	_ = conn.Close(websocket.StatusCode(frame.Code), frame.Reason) // the socket is gone either way
}
