package grpclimit_test

import (
	"context"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client/grpclimit"
	"github.com/bucketring/bucketring/node"
)

func Example() {
	lim, err := node.New(node.Config{Name: "n1"}) // or client.Dial, for nodes elsewhere
	if err != nil {
		fmt.Println(err)
		return
	}

	limit := grpclimit.Config{
		Limiter: lim,
		Request: grpclimit.Key(bucketring.MustParse("1/m"), grpclimit.PeerIP),
	}
	server := grpc.NewServer(
		grpc.UnaryInterceptor(grpclimit.Unary(limit)),
		grpc.StreamInterceptor(grpclimit.Stream(limit)),
	)

	grpc_health_v1.RegisterHealthServer(server, health.NewServer()) // your services
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	go server.Serve(listener)
	defer server.Stop()

	// Elsewhere, a caller of that server.
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer conn.Close()
	caller := grpc_health_v1.NewHealthClient(conn)
	for range 2 {
		_, err := caller.Check(context.Background(), &grpc_health_v1.HealthCheckRequest{})
		if wait, ok := grpclimit.RetryAfter(err); ok {
			fmt.Println("again in a minute:", wait.Round(time.Second))
		}
		fmt.Println(status.Code(err))
	}
	// Output:
	// OK
	// again in a minute: 1m0s
	// ResourceExhausted
}

// Callers are told apart by what they send, plans by the program; the policy says how much
// each may do, of which methods.
func ExamplePolicy() {
	request := grpclimit.Policy("api", func(ctx context.Context) map[string]string {
		return map[string]string{"tenant": grpclimit.Metadata("x-tenant")(ctx), "plan": "pro"}
	})

	req, _ := request(context.Background(), "/shop.Orders/Place", nil)
	fmt.Println(req.Namespace, req.Attributes)
	// Output: api map[method:POST path:/shop.Orders/Place plan:pro]
}
