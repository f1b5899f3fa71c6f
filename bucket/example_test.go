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

func ExampleTable_Apply() {
	table := bucket.New(bucket.Config{})
	limit := bucketring.Limit{Kind: bucketring.KindConcurrency, Amount: 2, TTL: time.Minute}
	jobs := bucket.Counter{Key: "alice", Limit: &limit}
	now := bucket.Now{Mono: int64(time.Hour)}
	for id := range byte(3) { // a node makes random ids
		res := table.Apply(bucket.Op{N: 1, ID: bucketring.ID{id + 1}}, jobs, now)
		fmt.Println(res.Allowed, res.Used)
	}
	now.Mono += int64(5 * time.Second)
	fmt.Println(table.Release(0, bucketring.ID{1}, now))
	fmt.Println(table.Apply(bucket.Op{N: 1, ID: bucketring.ID{4}}, jobs, now).Allowed)
	// Output:
	// true 1
	// true 2
	// false 2
	// true
	// true
}

func ExampleTable_Settle() {
	table := bucket.New(bucket.Config{})
	limit := bucketring.Limit{Name: "minutes-day", Amount: 500_0, Precision: 1, Per: 24 * time.Hour, Algorithm: bucketring.FixedWindow}
	now := bucket.Now{Mono: int64(time.Hour), Wall: int64(1_640_995_200 * time.Second)}
	id := bucketring.ID{1}
	table.Apply(bucket.Op{N: 60_0, ID: id}, bucket.Counter{Key: "alice", Limit: &limit}, now)
	s, _ := table.Settle(0, id, 45, 200_000_000, now) // it took 45.2 minutes
	fmt.Println(s.Result.Used, s.Result.Remaining, s.Repeated)
	// Output: 452 4548 false
}
