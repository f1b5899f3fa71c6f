// leave.go begins and ends a node without losing what others have counted, or it has.

package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/internal/httpapi"
)

const (
	// goodbye is what a drain leaves of its time for what comes after the node has answered
	// for the last time: to tell the others, and to close the doors.
	goodbye = 3 * time.Second
	// takeOverIn is how long a new node waits for its partitions before it answers.
	takeOverIn = 20 * time.Second
)

// takeOver waits until this node has what it should hold.
func (s *server) takeOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, takeOverIn)
	defer cancel()
	if err := s.member.Settle(ctx); err != nil {
		s.log.Warn("not all partitions are here yet", "err", err)
	}
}

// A leaving is the end of a node as far as others are concerned: it happens once,
// because of a signal or because an operator asks. The zero value has not begun.
type leaving struct {
	began chan struct{} // closed when it begins
	done  chan struct{} // closed when it has ended
	asked chan struct{} // closed when the process shall end too
	quit  sync.Once
	mu    sync.Mutex // held to begin
	err   error      // that not all was handed over; read after done
	gave  time.Time  // when it was; read after done
}

// unless does something that must not come after the beginning.
func (l *leaving) unless(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.began:
	default:
		do()
	}
}

// begin reports whether this is the beginning. It calls ready before others may see that.
// Who is not the first does not wait here: a hand-over may last.
func (l *leaving) begin(ready func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.began:
		return false
	default:
		ready()
		close(l.began)
		return true
	}
}

func newLeaving() *leaving {
	return &leaving{began: make(chan struct{}), done: make(chan struct{}), asked: make(chan struct{})}
}

// handOver gives all that this node holds to the others, while it answers on. It
// returns once that is done; when it was done before, at once.
func (s *server) handOver(ctx context.Context) {
	if s.leaving.begin(func() { s.health.set(errors.New("draining")) }) {
		s.giveAll(ctx)
		s.leaving.gave = time.Now()
		close(s.leaving.done)
	}
	<-s.leaving.done
}

// giveAll tells the others that this node leaves, and waits until they have what it held.
func (s *server) giveAll(ctx context.Context) {
	s.notServing()
	if s.member.Cluster() == nil {
		return
	}
	began := time.Now()
	s.member.BeginLeave(ctx)
	giving, cancel := context.WithTimeout(ctx, max(s.cfg.Drain-s.cfg.Linger-goodbye, s.cfg.Drain/2))
	defer cancel()
	if s.leaving.err = s.member.HandOver(giving); s.leaving.err != nil {
		s.log.Error("not all counters were handed over: give --drain-timeout more time", "err", s.leaving.err)
		return
	}
	s.log.Info("handed over", "counters", s.node.Stats().Moves.Out, "took", time.Since(began).Round(time.Millisecond))
}

// drain lets the others take over, answers on for a moment, and closes the doors.
// A node that failed to join or must stop does not linger.
func (s *server) drain(orderly bool) {
	began := time.Now()
	s.manager.tell(stateStopping)
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain)
	defer cancel()
	if orderly {
		s.handOver(ctx)
	}
	s.health.set(errors.New("draining"))
	s.notServing()
	if orderly && s.hasOthers() { // as a member still: whom it refers callers to may have joined just now
		time.Sleep(min(time.Until(s.leaving.gave.Add(s.cfg.Linger)), s.cfg.Drain-time.Since(began)-min(goodbye, s.cfg.Drain/4)))
	}
	if err := s.member.Leave(ctx); err != nil {
		s.log.Warn("left without goodbye", "err", err)
	}
	s.doors.close(ctx)
	s.member.End()
	s.log.Info("stopped", "node", s.cfg.NodeName, "took", time.Since(began).Round(time.Millisecond))
}

// hasOthers reports whether callers who are sent away have another node to go to.
func (s *server) hasOthers() bool {
	return slices.ContainsFunc((*view)(s).known(), func(m cluster.Member) bool {
		return !m.Self && m.State == cluster.StateActive
	})
}

// closing has callers come back over another connection once this node drains: they keep one
// for as long as they are let, and would not look for another node before.
func (l *leaving) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-l.began:
			w.Header().Set("Connection", "close")
		default:
		}
		next.ServeHTTP(w, r)
	})
}

// A drainer is the server as what an operator drains from afar.
type drainer server

var _ httpapi.Drainer = (*drainer)(nil)

// Drain implements httpapi.Drainer. A node that is still joining has nothing to give, and
// is not drained.
func (d *drainer) Drain() {
	s := (*server)(d)
	select {
	case <-s.member.Joined():
	default:
		return
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain)
		defer cancel()
		s.handOver(ctx)
	}()
	<-s.leaving.began
}

// Leave implements httpapi.Drainer.
func (d *drainer) Leave() {
	d.Drain()
	if d.Progress().State == "joining" {
		return
	}
	d.leaving.quit.Do(func() { close(d.leaving.asked) })
}

// Progress implements httpapi.Drainer.
func (d *drainer) Progress() httpapi.Progress {
	moves := d.node.Stats().Moves
	p := httpapi.Progress{State: "serving", PartitionsLeft: moves.Here, HandedOver: moves.Out}
	select {
	case <-d.leaving.done:
		if p.State = "drained"; d.leaving.err != nil || moves.Here > 0 {
			p.State = "incomplete"
		}
		return p
	default:
	}
	select {
	case <-d.member.Joined():
	default:
		p.State = "joining"
	}
	select {
	case <-d.leaving.began:
		p.State = "draining"
	default:
	}
	return p
}
