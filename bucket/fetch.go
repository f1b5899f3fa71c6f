// fetch.go looks counters up that are asked for together. A processor waits for one line of
// memory as long as for sixteen, if it knows all of them before it needs the first.

package bucket

import "github.com/bucketring/bucketring"

// A Place is where a Table has a counter, or would have it.
type Place struct {
	hash uint64
	part uint32
}

// Place returns the place of a counter.
func (t *Table) Place(partition uint32, key string, l *bucketring.Limit) Place {
	return Place{t.hash(key, l), partition}
}

// Partition returns the partition of a place.
func (p Place) Partition() uint32 { return p.part }

// fetchedAtOnce is how many lines of memory are waited for together. Processors have room
// for some more; what they also do takes it.
const fetchedAtOnce = 16

// Fetch reads what TryTake of all these places will read, so that none of them has to wait
// for memory alone. It changes nothing but the caches of the processor. Each step is done for
// several places before the next, which needs what it has found.
func (t *Table) Fetch(places []Place) {
	for len(places) > 0 {
		var firsts [fetchedAtOnce]*slot
		var near [fetchedAtOnce]*bucket
		now := places[:min(len(places), fetchedAtOnce)]
		for i := range now {
			if slots := t.parts[now[i].part].slots.Load(); slots != nil {
				firsts[i] = &(*slots)[now[i].hash&uint64(len(*slots)-1)]
			}
		}
		for _, first := range firsts[:len(now)] {
			if first != nil {
				first.at.Load()
			}
		}
		for i := range now {
			near[i] = t.parts[now[i].part].candidate(now[i].hash)
		}
		for _, b := range near[:len(now)] {
			if b != nil {
				b.word.Load()
				b.fetchKey()
			}
		}
		places = places[len(now):]
	}
}
