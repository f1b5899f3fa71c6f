package transport_test

import (
	"testing"
	"time"

	"github.com/bucketring/bucketring/transport"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// TestCopiesThatWaitAreBounded: a peer that does not read makes nobody keep all that was
// to be sent, and whoever copies learns that it must begin anew, twice: when something is
// lost, and when there is room again.
func TestCopiesThatWaitAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		h := w.host("n2")
		reads := make(chan struct{})
		cfg := h.cfg
		cfg.Heard = func(transport.Sender, *peerpb.View, []*peerpb.Msg) { <-reads }
		h.server = transport.NewPeerServer(cfg, h.owner)
		h.start()
		p := w.pool(h)
		mustTake(t, p, h, "first")
		const boot = 1
		send := func() {
			p.Send(h.addr(), boot, &peerpb.Msg{Of: &peerpb.Msg_Repls{Repls: &peerpb.Repls{Changes: make([]byte, 16<<10)}}})
		}
		before := p.Session(h.addr(), boot)
		if before == 0 {
			t.Fatal("there is no link")
		}
		for range transport.MaxWaiting >> 14 {
			send()
		}
		if got := p.Session(h.addr(), boot); got != before {
			t.Fatalf("session = %d after %d MB, want %d: all of it may wait", got, transport.MaxWaiting>>20, before)
		}
		for range 100 {
			send()
		}
		if got := p.Session(h.addr(), boot); got != before+1 {
			t.Fatalf("session = %d after more than may wait, want %d", got, before+1)
		}
		close(reads)
		time.Sleep(time.Second)
		send()
		if got := p.Session(h.addr(), boot); got != before+2 {
			t.Errorf("session = %d once there is room, want %d", got, before+2)
		}
	})
}
