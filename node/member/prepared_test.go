package member_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/node/member"
)

// TestPreparedKeysMove: callers hold keys while another member joins and leaves, whom some of
// the counters go to and come from, and every token is spent once.
func TestPreparedKeysMove(t *testing.T) {
	const amount, keyCount = 2_000, 8
	keys, err := member.ParseKeys("keys", member.NewKeys())
	if err != nil {
		t.Fatal(err)
	}
	a := start(t, "a", keys)
	b := start(t, "b", keys, a)
	limits := bucketring.MustParse(fmt.Sprint(amount, "/365d algorithm=fixed_window accuracy=strict"))
	var admitted [keyCount]atomic.Int64
	var callers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 2 * keyCount {
		key := i / 2
		p, err := []*member.Member{a, b}[i%2].Node().Prepare(fmt.Sprint("key:", key), limits)
		if err != nil {
			t.Fatal(err)
		}
		callers.Go(func() { admitted[key].Add(askUntil(t, stop, p)) })
	}
	end(t, start(t, "c", keys, a))
	close(stop)
	callers.Wait()
	for key := range admitted {
		d, err := a.Take(t.Context(), bucketring.Request{Verb: bucketring.VerbPeek, Key: fmt.Sprint("key:", key), Limits: limits})
		if got := admitted[key].Load(); err != nil || got != d.Used || got == 0 || got > amount {
			t.Errorf("key %d: %d calls were admitted, %d tokens are used of %d (%v)", key, got, d.Used, amount, err)
		}
	}
}

// askUntil asks again and again, and returns how often the answer was yes. It leaves time for
// those who join.
func askUntil(t *testing.T, stop <-chan struct{}, p *node.Prepared) (admitted int64) {
	turn := time.NewTicker(time.Millisecond)
	defer turn.Stop()
	for {
		select {
		case <-stop:
			return admitted
		case <-turn.C:
		}
		ok, err := p.Allow(t.Context(), 1)
		if err != nil {
			t.Error(err)
			return admitted
		}
		if ok {
			admitted++
		}
	}
}
