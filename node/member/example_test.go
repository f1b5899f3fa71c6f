package member_test

import (
	"context"
	"fmt"
	"log"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node/member"
)

// A service decides calls itself, together with all its replicas: each runs this with
// another name, and with addresses that the others can reach.
func ExampleStart() {
	ctx := context.Background()
	m, err := member.Start(ctx, member.Config{Name: "api-1", Gossip: "127.0.0.1:0", Label: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Close(ctx)
	perMinute := bucketring.MustParse("2/m")
	for range 3 {
		d, err := m.Take(ctx, bucketring.Request{Key: "alice", Limits: perMinute, Cost: 1})
		fmt.Println(d.Allowed, d.Remaining, err)
	}
	// Output:
	// true 1 <nil>
	// true 0 <nil>
	// false 0 <nil>
}
