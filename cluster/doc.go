// Package cluster says who is here: it finds the other nodes by gossip, keeps
// one view of them, and publishes a [ring.Ring] whenever the set of deciding
// nodes changes.
//
// The model has three layers. Gossip (hashicorp/memberlist) knows starts: each
// start of a node has a gossip name of its own and carries a small record. The
// view knows nodes: of all starts of one name the newest counts, and it is live
// or not. The ring has the live nodes that call themselves active. Events only
// say that something changed; the view is always computed from the whole.
//
// Gossip carries membership and records, never counters, and it elects nobody.
// Views of two nodes may differ for seconds, or for as long as the network is
// split; what keeps counts right meanwhile is package ring/handover, not this
// one. Nor does it open links between nodes: it only tells their addresses.
//
// Join starts goroutines, and Leave or Close waits for them. All methods of a
// [Cluster] are safe for concurrent use. Rings reach Config.OnRing from one
// goroutine, in order.
//
// Read next: cluster.go for the life of a member, gossip.go for what is heard,
// view.go for what is made of it. Package clustertest has a network for tests.
package cluster
