// sim_random_test.go draws schedules of faults from a seed.

package main

import (
	"fmt"
	"testing"
	"time"
)

// Nodes come and go in good order, at random moments: every answer is exact.
func TestSimRandomOrderly(t *testing.T) {
	simulateLong(t, func(w *simWorld) {
		s := newSchedule(w, "join", "leave", "swap", "restart")
		for range 3 {
			s.round(3)
		}
		for _, l := range s.loads {
			l.stop()
			l.expectExact()
		}
	})
}

// Nodes crash and come back among others that come and go.
func TestSimRandomCrashes(t *testing.T) {
	simulateLong(t, func(w *simWorld) {
		s := newSchedule(w, "join", "leave")
		for range 3 {
			s.pick([]string{"crash", "silence", "reboot"})
			s.round(1)
			s.check()
		}
	})
}

// Links are cut, cut one way, slowed down, and the cluster is split.
func TestSimRandomCuts(t *testing.T) {
	simulate(t, func(w *simWorld) {
		s := newSchedule(w, "cut", "oneway", "slow", "isolate", "split")
		for range 2 {
			s.round(3)
			s.check()
		}
	})
}

// Everything happens at once. What may be lost then is not promised, but every call is
// answered in time, and one holder of each partition remains.
func TestSimRandomWild(t *testing.T) {
	simulate(t, func(w *simWorld) {
		s := newSchedule(w, "join", "leave", "swap", "crash", "silence", "reboot", "cut", "oneway", "slow", "isolate", "split")
		for range 2 {
			s.round(4)
		}
		for _, l := range s.loads {
			l.stop()
		}
	})
}

const (
	simFewest, simMost = 3, 6             // nodes of a schedule
	equalIn            = 30 * time.Second // after the last fault there is one ring, for good
)

// A schedule injects faults, a few at a time, and lets the cluster come to rest.
type schedule struct {
	w       *simWorld
	kinds   []string
	loads   []*simLoad
	next    int // number of the next new node
	hosts   int
	pending []*simNode // that start or leave
	crashes map[string]time.Duration
}

func newSchedule(w *simWorld, kinds ...string) *schedule {
	size := simFewest + w.rand.IntN(2)
	w.cluster(size)
	s := &schedule{w: w, kinds: kinds, next: size + 1, hosts: size, crashes: map[string]time.Duration{}}
	s.loads = []*simLoad{
		w.load("1000/h algorithm=fixed_window", keysOf("window:", 25), 25*time.Millisecond),
		w.load("40/h", keysOf("bucket:", 25), 25*time.Millisecond),
	}
	return s
}

// round injects at most so many faults, from at once to 2 s apart, ends those that
// last, and waits for rest.
func (s *schedule) round(most int) {
	s.w.Helper()
	for range 1 + s.w.rand.IntN(most) {
		s.pick(s.kinds)
		time.Sleep([]time.Duration{0, time.Millisecond, 50 * time.Millisecond, time.Second, 3 * time.Second}[s.w.rand.IntN(5)])
	}
	time.Sleep(time.Duration(s.w.rand.Int64N(int64(6 * time.Second))))
	s.w.say("healed")
	s.w.net.healAll()
	for _, n := range s.pending {
		select {
		case <-n.ready:
		case <-n.ended:
		case <-time.After(time.Minute):
			s.w.Fatalf("%s is not ready after a minute", n.name)
		}
		if n.left {
			<-n.ended
		}
	}
	s.pending = nil
	s.w.awaitStable(equalIn)
	rested := s.w.now()
	time.Sleep(rightIn) // what passed without a holder was told meanwhile
	for _, l := range s.loads {
		l.expectRight(rested)
	}
}

func (s *schedule) pick(kinds []string) {
	kind := kinds[s.w.rand.IntN(len(kinds))]
	live := s.w.live()
	one := live[s.w.rand.IntN(len(live))]
	other := live[s.w.rand.IntN(len(live))]
	few := len(live)-s.leaving() <= simFewest
	switch {
	case kind == "join" && len(live) < simMost:
		s.join()
	case kind == "leave" && !few:
		s.leave(one)
	case kind == "swap" && len(live) < simMost:
		s.join()
		s.leave(one)
	case kind == "restart" && !few:
		one.leave()
		s.pending = append(s.pending, s.w.launch(one.name, one.host.no))
	case kind == "crash" && !few, kind == "silence" && !few, kind == "reboot":
		s.crashes[one.name] = s.w.now()
		one.crash(kind == "silence")
		if kind == "reboot" {
			time.Sleep(time.Duration(s.w.rand.Int64N(int64(300 * time.Millisecond))))
			s.pending = append(s.pending, s.w.launch(one.name, one.host.no))
		}
	default:
		s.harm(kind, one, other)
	}
}

func (s *schedule) leaving() (n int) {
	for _, one := range s.pending {
		if one.left && one.serving.Load() {
			n++
		}
	}
	return n
}

func (s *schedule) join() {
	s.hosts++
	n := s.w.launch(fmt.Sprint("n", s.next), s.hosts)
	s.next++
	s.w.say("%s joins", n.name)
	s.pending = append(s.pending, n)
}

func (s *schedule) leave(n *simNode) {
	if n.left {
		return
	}
	n.beginLeave()
	s.pending = append(s.pending, n)
}

// harm does something to the network.
func (s *schedule) harm(kind string, one, other *simNode) {
	a, b := one.host.no, other.host.no
	switch {
	case kind == "isolate":
		s.w.say("%s is alone", one.name)
		for _, n := range s.w.live() {
			if n != one {
				s.w.net.split([]int{a}, []int{n.host.no})
			}
		}
	case kind == "split":
		var sides [2][]int
		for _, n := range s.w.live() {
			side := s.w.rand.IntN(2)
			sides[side] = append(sides[side], n.host.no)
		}
		s.w.say("split %v from %v", sides[0], sides[1])
		s.w.net.split(sides[0], sides[1])
	case a == b:
	case kind == "cut":
		s.w.say("%s and %s are cut off", one.name, other.name)
		s.w.net.split([]int{a}, []int{b})
	case kind == "oneway":
		s.w.say("%s does not reach %s", one.name, other.name)
		s.w.net.cutOff(a, b)
	case kind == "slow":
		s.w.say("%s to %s is slow", one.name, other.name)
		s.w.net.slowDown(a, b, 100*simDelay)
	}
}

// check holds the books of the windows against what is counted.
func (s *schedule) check() {
	s.w.Helper()
	s.loads[0].expectSum(s.crashes)
}
