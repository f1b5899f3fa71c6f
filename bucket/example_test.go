package bucket_test

import (
	"fmt"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

func ExampleTable() {
	table := bucket.New(bucket.Config{MaxKeys: 1_000_000})
	limit := bucketring.MustParse("3/m")[0]
	alice := bucket.Counter{Key: "alice", Limit: &limit}
	// A node reads its clocks once per call; here the time is made up.
	now := bucket.Now{Mono: int64(time.Hour), Wall: int64(1_640_995_200 * time.Second)}
	for range 4 {
		res := table.Take(alice, now, 1)
		fmt.Println(res.Allowed, res.Remaining, res.Reset, res.Retry)
	}
	now.Mono += int64(20 * time.Second)
	fmt.Println(table.Take(alice, now, 1).Allowed)
	// Output:
	// true 2 20s 0s
	// true 1 40s 0s
	// true 0 1m0s 0s
	// false 0 1m0s 20s
	// true
}

func ExampleTable_Sweep() {
	table := bucket.New(bucket.Config{})
	limit := bucketring.MustParse("3/m")[0]
	now := bucket.Now{Mono: int64(time.Hour)}
	table.Take(bucket.Counter{Key: "alice", Limit: &limit}, now, 1)
	table.Take(bucket.Counter{Key: "bob", Limit: &limit}, now, 2)
	now.Mono += int64(20 * time.Second) // alice's bucket is full again
	fmt.Println(table.Sweep(now, 1), table.Stats().Keys)
	// Output: 1 1
}
