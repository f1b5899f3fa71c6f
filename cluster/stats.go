package cluster

import "sync/atomic"

// Stats are counts since Join, but for the first group, which is of now.
type Stats struct {
	// Nodes by state, as in Members; this one is among them.
	Joining, Active, Leaving, Left, Dead int

	Joins  uint64 // other nodes' starts that gossip came to know, or saw alive again
	Leaves uint64 // other nodes that left in good order
	Deaths uint64 // other nodes that vanished; not what a restart leaves behind

	Refused       uint64 // records and merges refused: malformed, or of another kind of cluster
	Undecryptable uint64 // messages that no key opens, or that came unencrypted
	OtherLabel    uint64 // messages of clusters with another label
	Dropped       uint64 // gossip messages dropped because the queue was full
	TCPOnly       uint64 // probes where UDP failed and TCP worked: look at the firewall

	SeedErrors     uint64 // lookups of a seed that failed
	Rejoins        uint64 // tries to reach one more seed, after the first one was reached
	RejoinFailures uint64 // those of them that failed

	Rings       uint64 // rings published
	RingsFailed uint64 // rings that could not be built: the one before stays in force
}

// counters are the atomics behind Stats. Delegates, the log and the goroutines
// add to them; no order among them matters.
type counters struct {
	joins, leaves, deaths               atomic.Uint64
	refused, undecryptable, otherLabel  atomic.Uint64
	dropped, tcpOnly                    atomic.Uint64
	seedErrors, rejoins, rejoinFailures atomic.Uint64
	rings, ringsFailed                  atomic.Uint64
}

// Stats returns the counts. It costs one pass over the members.
func (c *Cluster) Stats() Stats {
	n := c.gossip.counts
	s := Stats{
		Joins: n.joins.Load(), Leaves: n.leaves.Load(), Deaths: n.deaths.Load(),
		Refused: n.refused.Load(), Undecryptable: n.undecryptable.Load(), OtherLabel: n.otherLabel.Load(),
		Dropped: n.dropped.Load(), TCPOnly: n.tcpOnly.Load(),
		SeedErrors: n.seedErrors.Load(), Rejoins: n.rejoins.Load(), RejoinFailures: n.rejoinFailures.Load(),
		Rings: n.rings.Load(), RingsFailed: n.ringsFailed.Load(),
	}
	for _, m := range c.Members() {
		switch m.State {
		case StateJoining:
			s.Joining++
		case StateActive:
			s.Active++
		case StateLeaving:
			s.Leaving++
		case StateLeft:
			s.Left++
		case StateDead:
			s.Dead++
		}
	}
	return s
}
