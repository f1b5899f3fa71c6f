// strangers_test.go comes to a cluster without being of it.

package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring/node/member"
	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// metric is the sum of a metric's series that have all the labels.
func metric(t *testing.T, n *testNode, name string, labels ...string) (sum float64) {
	t.Helper()
	status, text := n.admin().get(t, "/metrics")
	if status != http.StatusOK {
		t.Fatalf("GET /metrics = %d, want 200", status)
	}
	series := 0
	for line := range strings.Lines(text) {
		if !regexp.MustCompile(`^`+name+`[ {]`).MatchString(line) || containing(line, labels...) != nil {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(line[strings.LastIndexByte(line, ' '):]), 64)
		if err != nil {
			t.Fatalf("metrics have the line %q: %v", line, err)
		}
		sum, series = sum+value, series+1
	}
	if series == 0 {
		t.Fatalf("metrics have no %s with %q", name, labels)
	}
	return sum
}

// A node without the key, or with another secret, stays outside. It goes on
// alone, and the members that it came to stay the same.
func TestStrangerCannotJoin(t *testing.T) {
	t.Parallel()
	keyFile := newKeyFile(t)
	n := startNode(t, "n1", "--key-file", keyFile, "--cluster-label", "home")
	for _, stranger := range []struct {
		name string
		args []string
	}{
		{"no key", []string{"--cluster-label", "home"}},
		{"other keys", []string{"--cluster-label", "home", "--key-file", newKeyFile(t)}},
		{"other secret", []string{"--cluster-label", "home", "--key-file", withOtherSecret(t, keyFile)}},
		{"other label", []string{"--cluster-label", "abroad", "--key-file", keyFile}},
	} {
		t.Run(stranger.name, func(t *testing.T) {
			before := metric(t, n, "bucketring_gossip_rejected_total")
			args := append(stranger.args, "--cluster-join", n.at("gossip"), "--cluster-bootstrap-after", "500ms")
			s := startNode(t, "stranger", args...)
			await(t, slack, func() error {
				if now := metric(t, n, "bucketring_gossip_rejected_total"); now <= before {
					return fmt.Errorf("bucketring_gossip_rejected_total = %v, want more than %v", now, before)
				}
				return nil
			})
			for _, each := range []*testNode{n, s} {
				v, err := viewOf(each.web)
				if err != nil || len(v.states) != 1 || v.ring != each.name {
					t.Errorf("%s sees the members %v and the ring %q, error %v, want itself alone", each.name, v.states, v.ring, err)
				}
			}
		})
	}
	// Whoever has the key file gets in, at the same door.
	friend := startNode(t, "n2", "--key-file", keyFile, "--cluster-label", "home", "--cluster-join", n.at("gossip"))
	awaitOneRing(t, slack, n, friend)
}

// withOtherSecret writes a key file that can gossip with the nodes of another
// one, and has a secret of its own.
func withOtherSecret(t *testing.T, keyFile string) string {
	t.Helper()
	text, err := os.ReadFile(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(newKeyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	secret := regexp.MustCompile(`(?m)^secret .*$`)
	mixed := secret.ReplaceAll(text, secret.Find(other))
	if string(mixed) == string(text) {
		t.Fatal("the two key files have the same secret")
	}
	name := filepath.Join(t.TempDir(), "mixed.key")
	if err := os.WriteFile(name, mixed, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// Links are for nodes that have the secret.
func TestStrangerCannotLink(t *testing.T) {
	t.Parallel()
	keyFile := newKeyFile(t)
	n := startNode(t, "n1", "--key-file", keyFile, "--cluster-label", "links")
	own, err := member.ReadKeys(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	placer, err := own.Placer()
	if err != nil {
		t.Fatal(err)
	}
	other, err := member.ParseKeys("other", member.NewKeys())
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range []struct {
		name   string
		keys   member.Keys
		linked bool
	}{
		{"no certificate", member.Keys{}, false}, {"other secret", other, false}, {"same secret", own, true},
	} {
		t.Run(one.name, func(t *testing.T) {
			peer := transport.PeerConfig{Node: "n2", Boot: func() uint64 { return 1 }, RingSettings: placer.Settings()}
			if peer.Identity, err = one.keys.Identity("n2"); err != nil {
				t.Fatal(err)
			}
			pool := transport.NewPool(peer)
			defer pool.Close()
			pool.Retain([]transport.Target{{Name: "n1", Addr: n.at("peer")}})
			ctx, cancel := context.WithTimeout(t.Context(), slack)
			defer cancel()
			// The node is alone and owns every key, so only the link can fail.
			d, err := pool.Peer(n.at("peer")).Take(ctx, takeOne("alice", "3/m"))
			if linked := err == nil && d.Allowed; linked != one.linked || ctx.Err() != nil {
				t.Errorf("Take over a link with %s = %v, %v, want allowed %v at once", one.name, d.Allowed, err, one.linked)
			}
		})
	}
}

// Each listener serves what it is for, and nothing else.
func TestListenersServeNothingElse(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n1")
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/cmdline", "/v1/admin/drain"} {
		if status, _ := n.web.get(t, path); status != http.StatusNotFound {
			t.Errorf("GET %s on the client listener = %d, want 404", path, status)
		}
	}
	if status, _ := n.admin().get(t, "/v1/take?key=alice&limit=3/m"); status != http.StatusNotFound {
		t.Errorf("GET /v1/take on the admin listener = %d, want 404", status)
	}
	if status, _ := n.admin().get(t, "/debug/pprof/cmdline"); status != http.StatusOK {
		t.Errorf("GET /debug/pprof/cmdline on the admin listener = %d, want 200", status)
	}
	stream, err := peerpb.NewPeerClient(dialGRPC(t, n.at("grpc"))).Link(t.Context())
	expectUnimplemented(t, "Peer.Link on the client listener", stream, err)
	desc := &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
	reflection, err := dialGRPC(t, n.at("grpc")).NewStream(t.Context(), desc, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
	expectUnimplemented(t, "reflection on the client listener", reflection, err)
	_, err = (grpcBatch{n.limiterAt(t, "peer")}).takeBatch(t.Context(), []string{"alice"}, "3/m")
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("TakeBatch on the peer listener = %v, want %v", err, codes.Unimplemented)
	}
}

func expectUnimplemented(t *testing.T, what string, stream grpc.ClientStream, err error) {
	t.Helper()
	if err == nil {
		err = stream.RecvMsg(&peerpb.Frame{})
	}
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("%s = %v, want %v", what, err, codes.Unimplemented)
	}
}

// What arrives at the gossip port from strangers harms nobody.
func TestGarbageGossip(t *testing.T) {
	t.Parallel()
	n := startNode(t, "n1", "--key-file", newKeyFile(t), "--cluster-label", "garbage")
	random := newRand(t)
	packets, err := net.Dial("udp", n.at("gossip"))
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	for i := range 500 {
		junk := make([]byte, 1+random.IntN(1300))
		for j := range junk {
			junk[j] = byte(random.Uint32())
		}
		_, _ = packets.Write(junk) // lost ones are lost
		if i%25 == 0 {
			if stream, err := net.DialTimeout("tcp", n.at("gossip"), slack); err == nil {
				_, _ = stream.Write(junk)
				_ = stream.Close()
			}
		}
		if i%100 == 0 {
			time.Sleep(time.Millisecond) // the socket's buffer is small
		}
	}
	if status, text := n.web.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("GET /readyz = %d %q, want 200", status, text)
	}
	if v, err := viewOf(n.web); err != nil || len(v.states) != 1 {
		t.Errorf("members are %v, error %v, want n1 alone", v.states, err)
	}
}
