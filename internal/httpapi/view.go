package httpapi

import (
	"context"
	"time"

	"github.com/bucketring/bucketring"
)

// A View is what this node knows about the cluster. Its methods are safe for
// concurrent use; what they return is read, never changed.
type View interface {
	// Members returns the members and what each owns.
	Members() Members
	// Ring returns the ring in use, with its Owners.
	Ring() Ring
	// Explain says where the counters of a request live, which is a peek with cost 0: of a
	// key, with limits or without, or of a caller in a namespace. Its errors are those of
	// a Limiter.
	Explain(ctx context.Context, req bucketring.Request) (Explanation, error)
}

// Members is the answer of GET /v1/members.
type Members struct {
	// Node is the name of the answering node.
	Node string `json:"node"`
	// RingVersion numbers the ring by which Owned and Share are counted.
	RingVersion uint64 `json:"ring_version"`
	// Listeners has the address of each door of the answering node, by name:
	// http, grpc, admin, gossip, peer.
	Listeners map[string]string `json:"listeners"`
	// Members has every member that the node knows, itself included.
	Members []Member `json:"members"`
}

// A Member is one node as the answering node sees it.
type Member struct {
	Name  string `json:"name"`
	State string `json:"state"`
	// Gossip and Peer are host:port; empty where there is none.
	Gossip string `json:"gossip"`
	Peer   string `json:"peer"`
	Zone   string `json:"zone"`
	// Version is that of the program there; empty for one that does not tell.
	Version string `json:"version"`
	// Owned counts partitions; Share is their part of all, from 0 to 1, shown
	// with four decimals.
	Owned int     `json:"owned"`
	Share float64 `json:"share"`
	// PolicyHash identifies the policies in force there, in hexadecimal; nodes of a
	// cluster should agree on it.
	PolicyHash string `json:"policy_hash"`
	// GossipKey is the fingerprint of the key with which it encrypts gossip, GossipKeys that
	// of all its keys, on which nodes should agree; empty without keys.
	GossipKey  string `json:"gossip_key"`
	GossipKeys string `json:"gossip_keys"`
	// Ring says whether the member has the ring that the answering node has: agrees, differs, or
	// unknown for one that has not told, or is not there. It differs for a moment when a ring
	// changes.
	Ring string `json:"ring"`
	// Self marks the answering node.
	Self bool `json:"self"`
	// Since is when the member took its State, shown in whole seconds UTC.
	Since time.Time `json:"since"`
}

// Ring is the answer of GET /v1/ring.
type Ring struct {
	// Node is the name of the answering node.
	Node    string `json:"node"`
	Version uint64 `json:"version"`
	// Fingerprint is in hexadecimal: equal on two nodes if their rings are.
	Fingerprint string `json:"fingerprint"`
	// Partitions counts all of them.
	Partitions int `json:"partitions"`
	// Members has each member of the ring and its part.
	Members []Share `json:"members"`
	// Owners names the owner of each partition in order. It is shown only when
	// asked for with owners=1.
	Owners []string `json:"owners,omitzero"`
}

// A Share is a member's part of the ring.
type Share struct {
	Name  string  `json:"name"`
	Owned int     `json:"owned"`
	Share float64 `json:"share"`
}

// An Explanation says where a key lives, or the counters of a caller: the answer of GET
// /v1/explain.
type Explanation struct {
	// Key lives in Place; it is empty for a caller.
	Key   string
	Place Place
	// Namespace has the caller whose counters live in Places; it is empty for a key.
	Namespace string
	Places    []Place
	// Node is the name of the answering node, RingVersion its ring's number.
	Node        string
	RingVersion uint64
	// Decision is what a look at the limits showed; nil if none were given.
	Decision *bucketring.Decision
}

// A Place is where counters live that are charged together.
type Place struct {
	// Limits names the policy's limits that count there.
	Limits []string
	// Partition is negative where each node counts for itself.
	Partition int
	// Owner and Replica are names of members; empty where there is none.
	Owner, Replica string
}
