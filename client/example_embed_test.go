package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/node"
)

// A node in the process is a Limiter as a Client is: for programs of one process, and for
// tests. Nothing listens.
func Example_embedded() {
	lim, err := node.New(node.Config{Name: "embedded"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go lim.Run(ctx) // keeps its memory tidy

	req := bucketring.Request{Key: "mails", Limits: bucketring.MustParse("10/s burst=2"), Cost: 1}
	for range 3 { // the third waits for 100 ms
		if _, err := client.Wait(ctx, lim, req); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("sent")
	}
	// Output:
	// sent
	// sent
	// sent
}

// A program that only asks for a yes or a no has it at less cost, and at less still where it
// asks about the same key again and again.
func Example_embeddedAllow() {
	lim, err := node.New(node.Config{Name: "embedded"})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go lim.Run(ctx) // keeps its memory tidy

	ok, err := lim.Allow(ctx, "user:42", bucketring.MustParse("10/s"), 1)
	fmt.Println(ok, err)
	messages, err := lim.Prepare("connection:17", bucketring.MustParse("100/s burst=1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 2 { // the connection's messages
		ok, err := messages.Allow(ctx, 1)
		fmt.Println(ok, err)
	}
	// Output:
	// true <nil>
	// true <nil>
	// false <nil>
}

func ExampleHold() {
	ctx := context.Background()
	lim, err := node.New(node.Config{Name: "n1"}) // or client.Dial
	if err != nil {
		fmt.Println(err)
		return
	}
	slots := bucketring.Request{Key: "encoder", Limits: bucketring.MustParse("1 concurrent ttl=30s"), Cost: 1}

	d, err := client.Wait(ctx, lim, slots)
	if err != nil {
		fmt.Println(err)
		return
	}
	work, grant := client.Hold(ctx, lim, d, 30*time.Second) // renews every 10 s
	encode(work)                                            // stops if the lease is lost
	fmt.Println("given back:", grant.End())
	// Output:
	// encoding, error so far: <nil>
	// given back: <nil>
}

func encode(ctx context.Context) { fmt.Println("encoding, error so far:", ctx.Err()) }

func ExampleRetry() {
	lim := newFailing(2) // in real life a Client whose nodes are away for a moment

	d, err := client.Wait(context.Background(), client.Retry{Limiter: lim, First: time.Millisecond}, bucketring.Request{
		Key: "jobs", Limits: bucketring.MustParse("60/m"), Cost: 1,
	})
	fmt.Println(d.Allowed, err, "with attempt", lim.asked)
	// Output: true <nil> with attempt 3
}

func ExampleRefusalOf() {
	ctx := context.Background()
	lim, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	limits := bucketring.MustParse("1/h")
	for range 2 {
		d, err := lim.Take(ctx, bucketring.Request{Key: "alice", Limits: limits, Cost: 1})
		if err == nil && !d.Allowed {
			fmt.Println(client.RefusalOf(limits, &d).Detail)
		}
	}
	// Output: Limit inline allows 1 per hour; try again in 3600 seconds.
}

func ExamplePolite() {
	calls := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if calls++; calls == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()

	api := &http.Client{Transport: &client.Polite{Concurrent: 5, Spacing: 100 * time.Millisecond}}
	resp, err := api.Get(server.URL) // waits a second, and asks again
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.StatusCode, "after", calls, "calls")
	// Output: 200 after 2 calls
}
