// leave.go begins and ends a node without losing what others have counted, or it has.

package main

import (
	"context"
	"errors"
	"time"
)

const (
	// linger is how long a node that has left goes on answering: load balancers and
	// peers learn late.
	linger = 2 * time.Second
	// goodbye is what a drain leaves of its time for what comes after the handover.
	goodbye = 3 * time.Second
	// takeOverIn is how long a new node waits for its partitions before it answers.
	takeOverIn = 20 * time.Second
)

// takeOver waits until this node has what it should hold.
func (s *server) takeOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, takeOverIn)
	defer cancel()
	if err := s.node.Settle(ctx); err != nil {
		s.log.Warn("not all partitions are here yet", "err", err)
	}
}

// drain lets the others take over, answers on for a moment, and closes the doors.
// A node that failed to join or must stop does not linger.
func (s *server) drain(orderly bool) {
	began := time.Now()
	s.health.set(errors.New("draining"))
	s.doors.notServing()
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Drain)
	defer cancel()
	if c := s.cluster.Load(); c != nil {
		if orderly {
			s.handOver(ctx)
		}
		if err := c.Leave(ctx); err != nil {
			s.log.Warn("left without goodbye", "err", err)
		}
		if orderly {
			select {
			case <-time.After(min(linger, s.cfg.Drain/2)):
			case <-ctx.Done():
			}
		}
	}
	s.doors.close(ctx)
	s.pool.Close()
	s.log.Info("stopped", "node", s.cfg.NodeName, "took", time.Since(began).Round(time.Millisecond))
}

// handOver gives all that this node holds to the others, while it answers on.
func (s *server) handOver(ctx context.Context) {
	began := time.Now()
	if err := s.cluster.Load().BeginLeave(ctx); err != nil {
		s.log.Warn("not all others may know that this node leaves", "err", err)
	}
	giving, cancel := context.WithTimeout(ctx, max(s.cfg.Drain-goodbye, s.cfg.Drain/2))
	defer cancel()
	if err := s.node.Drain(giving); err != nil {
		s.log.Error("not all counters were handed over: give --drain-timeout more time", "partitions", s.node.Stats().Moves.Here)
		return
	}
	s.log.Info("handed over", "counters", s.node.Stats().Moves.Out, "took", time.Since(began).Round(time.Millisecond))
}
