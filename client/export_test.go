package client

import (
	"fmt"

	"github.com/bucketring/bucketring"
)

// Counters returns how many counters are kept.
func (s *Sockets) Counters() int64 { return s.table.Stats().Keys }

// For how long a node that failed is not asked first.
const (
	PassedOver    = passedOver
	MaxPassedOver = maxPassedOver
)

// Refused and UsedUp are what answers say.
var (
	Refused = refused
	UsedUp  = usedUp
)

// A Guide is a guide for three nodes, named 0, 1 and 2, which answer for each other.
type Guide struct{ *guide }

// NewGuide returns one that knows the nodes' names.
func NewGuide() Guide {
	g := Guide{newGuide(3, true)}
	for no := range uint32(3) {
		g.learn(no, 0, &bucketring.Decision{Node: fmt.Sprint(no)})
	}
	return g
}

// Learn says that a node owns a key, and First which node is asked for it; false for any.
func (g Guide) Learn(key string, owner int) {
	hash, _ := g.hash(&bucketring.Request{Key: key})
	g.learn(0, hash, &bucketring.Decision{Source: bucketring.SourceOwner, Node: "0", Owner: fmt.Sprint(owner)})
}

func (g Guide) First(key string) (owner int, ok bool) {
	hash, _ := g.hash(&bucketring.Request{Key: key})
	no, ok := g.first(hash, true)
	return int(no), ok
}
