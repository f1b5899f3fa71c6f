// Package member makes a process a member of a cluster: a node that decides, links to the
// nodes that own other keys, and the gossip by which they find each other. The command
// bucketring is a member with doors around it; any Go program can be one without.
//
//	m, err := member.Start(ctx, member.Config{Name: "api-1", Gossip: ":7752", Peer: ":7755", Join: seeds, Label: "shop", Keys: keys})
//	if err != nil {
//		return err
//	}
//	defer m.Close(context.Background())
//	d, err := m.Take(ctx, bucketring.Request{Key: "alice", Limits: perMinute, Cost: 1})
//
// # Life of a member
//
// [Start] does what most programs want: it listens for peers, joins, and returns once this
// node has all partitions that are its own. [Member.Close] hands them over to the others, and
// leaves. A program that wants to do something in between calls the steps one by one, as
// cmd/bucketring does:
//
//	New     makes the parts; nothing runs yet
//	Run     upkeep, until its context is done: it must run before Join
//	Join    finds the others and follows the ring from then on
//	Settle  waits until this node has what it should hold
//	BeginLeave, HandOver, Leave, End
//
// A node that is killed instead loses nothing that its successor has copied, which is all
// but the last few milliseconds.
//
// All methods are safe for concurrent use. Read next: member.go, then view.go for how
// gossip and links tell each other what they know.
package member
