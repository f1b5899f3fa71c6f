package transport_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
)

// TestDurableCallHoldsUpNobody: it waits at its owner for another node, and what came behind it
// on the link is answered meanwhile. Whether a second node knows of it is told.
func TestDurableCallHoldsUpNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h, known := w.host("n2").start(), make(chan struct{})
		h.owner.decide = func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			d := allow(req)
			if req.Durable() {
				<-known
				d.Degraded = true
			}
			return d, nil
		}
		p := w.pool(h)
		limit := bucketring.Limit{Kind: bucketring.KindLevel, Amount: 10, Durable: true}
		slow := bucketring.Request{Partition: 1, Charges: []bucketring.Charge{{Limit: &limit, Key: "slow", Cost: 1}}}
		told := make(chan bucketring.Decision, 1)
		go func() {
			d, err := p.Peer(h.addr()).Take(t.Context(), slow)
			if err != nil {
				t.Errorf("durable Take = %v, want a decision", err)
			}
			told <- d
		}()
		synctest.Wait()
		began := time.Now()
		if d := mustTake(t, p, h, "k"); !d.Allowed || d.Degraded {
			t.Errorf("Take behind a durable one = %+v, want it allowed", d)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("Take behind a durable one took %v", took)
		}
		close(known)
		if d := <-told; !d.Allowed || !d.Degraded {
			t.Errorf("durable Take = %+v, want it allowed, and that no second node knows", d)
		}
	})
}
