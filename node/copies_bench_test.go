package node

import (
	"fmt"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// perBeat is how many calls a beat has, each with a key of its own.
const perBeat = 100

// beats are a table of known keys that change in turn.
type beats struct {
	table *bucket.Table
	keys  []bucket.Counter
	next  int
	now   bucket.Now
}

func newBeats(keys int) *beats {
	s := &beats{
		table: bucket.New(bucket.Config{Partitions: ring.Partitions, Closed: true}),
		now:   bucket.Now{Mono: int64(time.Hour), Wall: time.Now().UnixNano()},
	}
	s.table.TrackChanges(true)
	for part := range uint32(ring.Partitions) {
		s.table.Open(part, 1<<32, 1, nil, s.now)
	}
	limit := bucketring.MustParse("1000000/h")[0]
	for i := range keys {
		key := fmt.Sprint("account:", i)
		s.keys = append(s.keys, bucket.Counter{Partition: ring.Partition(ring.Placer{}.Key("", key)), Key: key, Limit: &limit})
	}
	for range keys / perBeat {
		s.change()
		s.pack()
	}
	return s
}

func (s *beats) change() {
	for range perBeat {
		s.table.Take(s.keys[s.next], s.now, 1)
		s.next = (s.next + 1) % len(s.keys)
	}
	s.now.Mono += int64(beat)
}

// pack returns the copies of a beat.
func (s *beats) pack() *peerpb.Repls {
	p := copyPacker{}
	for _, c := range s.table.Changes(s.now) {
		p.add(c.Partition, c.State, false, s.now)
	}
	return p.msg
}

// BenchmarkCopies is what the copies of a beat cost beside their way through the network.
func BenchmarkCopies(b *testing.B) {
	b.Run("made", func(b *testing.B) {
		s := newBeats(100_000)
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			s.change()
			b.StartTimer()
			if s.pack() == nil {
				b.Fatal("nothing has changed")
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		s, m := newBeats(100_000), listener(b)
		msgs := make([]*peerpb.Repls, len(s.keys)/perBeat)
		take := func(msg *peerpb.Repls) {
			for _, c := range readCopies(msg, s.now) {
				m.replicated(holderOfAll, c.part, false, c.copy)
			}
		}
		for i := range msgs {
			s.change()
			msgs[i] = s.pack()
			take(msgs[i]) // from here on they are known
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			take(msgs[i%len(msgs)])
		}
	})
}
