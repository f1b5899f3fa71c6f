// hear.go takes what other nodes tell, and empties this node when it leaves.

package node

import (
	"context"
	"errors"
	"time"

	"github.com/bucketring/bucketring/ring/handover"
	"github.com/bucketring/bucketring/transport/peerpb"
)

// hear takes messages of another node.
func (m *mover) hear(from handover.Node, msgs []*peerpb.Msg) {
	now := m.local.clock.now()
	var all []func()
	news := false
	for _, msg := range msgs {
		news = news || !isRoutine(msg)
		if decoded, ok := fromWire(msg, now); ok {
			all = append(all, func() { m.received(from, decoded) })
		} else if do := m.heardOther(from, msg, now); do != nil {
			all = append(all, do)
		}
	}
	if m.overrun() {
		return // they are sent again
	}
	m.post(func() {
		if news {
			m.stir(now)
		}
		for _, do := range all {
			if m.machine != nil {
				m.carefully(do)
			}
		}
	})
}

// overrun reports whether more waits for run than it can do soon.
func (m *mover) overrun() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.queue) > maxWaiting
}

// received feeds a message of the protocol to the machine.
func (m *mover) received(from handover.Node, msg handover.Msg) {
	if who, ok := msg.(handover.Who); ok && who.Copies {
		m.endActingFor(who.Part) // the answer has what was counted so far
	}
	m.step(handover.Received{From: from, Msg: msg})
	switch msg := msg.(type) {
	case handover.Held:
		if a, acting := m.failover.acting[msg.Part]; acting && uint64(msg.Gen) > a.gen {
			m.endActingFor(msg.Part) // another one has taken over
		}
		m.routeTo(msg.Part)
	case handover.Nudge:
		m.routeTo(msg.Part)
	case handover.Given:
		m.routeTo(msg.Part)
	}
}

// allLeave is how long a node that leaves waits for somebody who does not.
const allLeave = time.Second

// drain returns once all that is here was handed over, or ctx is done. When all nodes
// leave, nobody is left to have it: it does not wait for long then.
func (m *mover) drain(ctx context.Context) error {
	done := make(chan struct{})
	m.post(func() {
		if m.machine == nil || len(m.view.peers) == 0 {
			close(done)
			return
		}
		m.drained = done
		m.endActing()
		m.step(handover.Drain{})
	})
	look := time.NewTicker(allLeave / 10)
	defer look.Stop()
	for alone := time.Duration(0); alone < allLeave; alone += allLeave / 10 {
		select {
		case <-done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-m.ended:
			return errors.New("node: Run has ended")
		case <-look.C:
			if len(m.local.ring.Load().Members) > 0 {
				alone = 0
			}
		}
	}
	return nil
}
