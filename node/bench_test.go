package node_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// benchmark takes with the requests in turn and checks the last answer.
func benchmark(b *testing.B, l bucketring.Limiter, reqs []bucketring.Request, allowed bool) {
	b.Helper()
	ctx, i := context.Background(), 0
	var d bucketring.Decision
	for _, req := range reqs { // from here on they are known
		mustTake(b, l, req)
	}
	b.ReportAllocs()
	for b.Loop() {
		d, _ = l.Take(ctx, reqs[i])
		if i++; i == len(reqs) {
			i = 0
		}
	}
	if d.Allowed != allowed {
		b.Fatalf("last Take = %+v, want allowed %v", d, allowed)
	}
}

// requests are takes of keys with a limit.
func requests(b *testing.B, keys int, text string) []bucketring.Request {
	all, l := make([]bucketring.Request, keys), limits(b, text)
	for i := range all {
		all[i] = take(fmt.Sprint("account:", i), l)
	}
	return all
}

func BenchmarkOwnedHotKey(b *testing.B) {
	n := newCluster(b, 1).nodes[0]
	for _, a := range bucketring.Algorithms() {
		b.Run(a.String(), func(b *testing.B) {
			benchmark(b, n, requests(b, 1, "1000000000/s algorithm="+a.String()), true)
		})
	}
}

// BenchmarkOwnedAllow asks for a yes or a no: of a key, and of one that was looked up before.
func BenchmarkOwnedAllow(b *testing.B) {
	n, l := newCluster(b, 1).nodes[0], limits(b, "1000000000/s")
	p, err := n.Prepare("account:0", l)
	if err != nil {
		b.Fatal(err)
	}
	for way, ask := range map[string]func(context.Context) (bool, error){
		"key":      func(ctx context.Context) (bool, error) { return n.Allow(ctx, "account:0", l, 1) },
		"prepared": func(ctx context.Context) (bool, error) { return p.Allow(ctx, 1) },
	} {
		b.Run(way, func(b *testing.B) {
			ctx, allowed := context.Background(), true
			if _, err := ask(ctx); err != nil { // now it is known
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				ok, _ := ask(ctx)
				allowed = allowed && ok
			}
			if !allowed {
				b.Fatal("a call was denied that has room")
			}
		})
	}
}

func BenchmarkOwned100kKeys(b *testing.B) {
	benchmark(b, newCluster(b, 1).nodes[0], requests(b, 100_000, "1000000/s"), true)
}

func BenchmarkOwnedDenied(b *testing.B) {
	for _, tail := range []string{"", " accuracy=strict"} {
		b.Run("1"+tail, func(b *testing.B) {
			benchmark(b, newCluster(b, 1).nodes[0], requests(b, 1, "1/366d"+tail), false)
		})
	}
}

func BenchmarkOwnedTwoLimits(b *testing.B) {
	for _, tail := range []string{"", " accuracy=strict"} {
		b.Run("2"+tail, func(b *testing.B) {
			benchmark(b, newCluster(b, 1).nodes[0], requests(b, 1, "1000000000/s"+tail+", 1000000000/m"+tail), true)
		})
	}
}

func BenchmarkOwnedParallel(b *testing.B) {
	for _, keys := range []int{1, 1024} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			n, reqs := newCluster(b, 1).nodes[0], requests(b, keys, "1000000000/s")
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				ctx := context.Background()
				for i := 0; pb.Next(); i++ {
					if _, err := n.Take(ctx, reqs[i%keys]); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}

// BenchmarkForward is the node's part of a forwarded call: nothing is sent.
func BenchmarkForward(b *testing.B) {
	c := newCluster(b, 2)
	local := c.nodes[1].Local()
	c.nodes[0].SetRing(c.ring("n1", "n2"))
	c.nodes[1].SetRing(c.ring("n2", "n2"))
	c.wires.put("n2", answers(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
		c.wires.asked() // would grow
		return local.Take(ctx, req)
	}))
	benchmark(b, c.nodes[0], requests(b, 1, "1000000000/s"), true)
}

// BenchmarkFallback is a call whose owner refuses at once.
func BenchmarkFallback(b *testing.B) {
	for _, how := range []string{"local", "allow", "deny"} {
		b.Run(how, func(b *testing.B) {
			c := newCluster(b, 2)
			c.nodes[0].SetRing(c.ring("n1", "n2"))
			c.wires.put("n2", refusal(""))
			benchmark(b, forgetful{c.nodes[0], c.wires}, requests(b, 1, "1000000000/s unavailable="+how), how != "deny")
		})
	}
}

// forgetful empties the list of asks, which would grow.
type forgetful struct {
	bucketring.Limiter
	wires *wires
}

func (f forgetful) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	f.wires.asked()
	return f.Limiter.Take(ctx, req)
}

// BenchmarkPolicy is a take by a policy with three limits of one caller, from its
// attributes to headers.
func BenchmarkPolicy(b *testing.B) {
	text, err := os.ReadFile("../deploy/policies/voicedub.yaml")
	if err != nil {
		b.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("000\n"), []byte("000000000000\n")) // so that all are allowed
	text = bytes.ReplaceAll(text, []byte("limit: 500\n"), []byte("limit: 500000000000\n"))
	p, err := policy.Parse("voicedub.yaml", text, policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		b.Fatal(err)
	}
	n.SetPolicies((&policy.Set{}).WithPolicy(p))
	req := bucketring.Request{Cost: 1, Namespace: "voicedub", Attributes: map[string]string{"user": "u1", "method": "POST", "path": "/v1/me/dubs"}}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := n.Take(b.Context(), req); err != nil || !d.Allowed {
			b.Fatalf("Take = %+v, %v", d, err)
		}
	}
}

// deaf are messages to nodes that never answer.
type deaf struct{}

func (deaf) Send(string, uint64, *peerpb.Msg) {}
func (deaf) Session(string, uint64) uint64    { return 1 }
func (deaf) Hears(string, uint64) bool        { return true }
func (deaf) Rest(bool)                        {}
func (deaf) Wire(string, uint64) uint32       { return 2 }
func (deaf) Busy(string) bool                 { return false }

// BenchmarkOwnedMoving takes from one hot key at a node that stays alone, and at one
// whose partitions can move and are copied: what readiness for that costs a take.
func BenchmarkOwnedMoving(b *testing.B) {
	b.Run("alone", func(b *testing.B) {
		n, err := node.New(node.Config{Name: "n1"})
		if err != nil {
			b.Fatal(err)
		}
		takeHot(b, n)
	})
	b.Run("copied", func(b *testing.B) {
		n, err := node.New(node.Config{Name: "n1", Messages: deaf{}})
		if err != nil {
			b.Fatal(err)
		}
		var running sync.WaitGroup
		ctx, stop := context.WithCancel(b.Context())
		running.Go(func() { _ = n.Run(ctx) })
		defer running.Wait()
		defer stop()
		builder := ring.NewBuilder(ring.Placer{}, "n1")
		for _, members := range [][]ring.Member{{{Name: "n1", Boot: 1}}, {{Name: "n1", Boot: 1}, {Name: "n2", Boot: 1}}} {
			r, err := builder.Build(members)
			if err != nil {
				b.Fatal(err)
			}
			n.SetRing(r)
			if err := n.Settle(b.Context()); err != nil { // all are here, and nobody takes them
				b.Fatal(err)
			}
		}
		takeHot(b, n)
	})
}

func takeHot(b *testing.B, n *node.Node) {
	req := bucketring.Request{Key: "user:42", Limits: bucketring.MustParse("1000000000/s"), Cost: 1}
	b.ReportAllocs()
	for b.Loop() {
		if d, err := n.Take(b.Context(), req); err != nil || !d.Allowed {
			b.Fatalf("Take = %+v, %v", d, err)
		}
	}
}
