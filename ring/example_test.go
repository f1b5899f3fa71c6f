package ring_test

import (
	"fmt"

	"github.com/bucketring/bucketring/ring"
)

func ExampleBuilder() {
	placer := ring.Placer{} // a cluster with a secret has a seed from it
	builder := ring.NewBuilder(placer, "n1")
	r, err := builder.Build([]ring.Member{
		{Name: "n1", Addr: "10.0.0.1:7755"},
		{Name: "n2", Addr: "10.0.0.2:7755"},
		{Name: "n3", Addr: "10.0.0.3:7755"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range []string{"user:alice", "user:bob", "user:carol"} {
		partition := ring.Partition(placer.Key("", key))
		owner, _ := r.Owner(partition)
		fmt.Println(key, partition, owner.Name, owner.Addr, r.OwnedBySelf(partition))
	}
	// Output:
	// user:alice 1307 n2 10.0.0.2:7755 false
	// user:bob 634 n3 10.0.0.3:7755 false
	// user:carol 2078 n3 10.0.0.3:7755 false
}
