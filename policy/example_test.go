package policy_test

import (
	"errors"
	"fmt"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

func ExampleSet_Resolve() {
	var set policy.Set // of a node without policies in files
	limits, err := bucketring.Parse("100/m")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(set.Resolve(&bucketring.Request{Key: "user:alice", Limits: limits, Cost: 1}))
	fmt.Println(errors.Is(set.Resolve(&bucketring.Request{Namespace: "api"}), bucketring.ErrNoPolicy))
	// Output:
	// <nil>
	// true
}
