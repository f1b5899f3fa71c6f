package bucket_test

import (
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

// TestKeysOfAllLengths: whether a key stands behind its bucket or not, it is found again, and
// a key of the same hash that differs in its last byte or its length is another one.
func TestKeysOfAllLengths(t *testing.T) {
	const hash = 5
	var part bucket.Part
	counter := func(length int, last string) bucket.Counter {
		return counterOf(shapes()[0], strings.Repeat("k", length)+last)
	}
	for length := range 100 {
		part.Insert(hash, counter(length, "a"), noon, int64(length%10))
	}
	for length := range 100 {
		remaining, ok := part.Remaining(hash, counter(length, "a"), noon)
		if want := int64(10 - length%10); !ok || remaining != want {
			t.Errorf("a key of %d bytes has %d remaining, found %v, want %d", length+1, remaining, ok, want)
		}
		if _, ok := part.Remaining(hash, counter(length, "b"), noon); ok {
			t.Errorf("a key of %d bytes is found under another last byte", length+1)
		}
	}
}

// TestFetchChangesNothing, wherever a place is: in a partition that is empty, has the counter,
// has others, or is away.
func TestFetchChangesNothing(t *testing.T) {
	table := bucket.New(bucket.Config{Partitions: 4})
	l := shapes()[0]
	var places []bucket.Place
	for partition := range uint32(4) {
		for _, key := range []string{"a", "b", strings.Repeat("long", 100)} {
			c := bucket.Counter{Partition: partition, Key: key, Limit: &l}
			if partition > 0 && key != "b" {
				table.Take(c, noon, 3)
			}
			places = append(places, table.Place(partition, key, &l))
		}
	}
	table.Close(3, noon)
	before := table.Stats()
	table.Fetch(places)
	table.Fetch(nil)
	if after := table.Stats(); after != before {
		t.Errorf("Stats after Fetch = %+v, want %+v", after, before)
	}
	for _, partition := range []uint32{1, 2} {
		c := bucket.Counter{Partition: partition, Key: "a", Limit: &l}
		if res := table.Do(bucketring.VerbPeek, c, noon, 0); res.Remaining != 7 {
			t.Errorf("a counter of partition %d has %d remaining after Fetch, want 7", partition, res.Remaining)
		}
	}
}
