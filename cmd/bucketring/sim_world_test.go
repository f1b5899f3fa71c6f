// sim_world_test.go runs whole nodes in virtual time: real gossip and real gRPC on a
// network in memory. A seed decides the faults, the load and the delays; the order of
// goroutines is not replayed.

package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/node/member"
	"github.com/bucketring/bucketring/ring"
)

var (
	simSeeds = flag.Int("simseeds", 1, "schedules to run of each test in virtual time")
	simSeed  = flag.Int64("simseed", 0, "the one schedule to run of each test in virtual time")
)

// A simWorld is a cluster in a bubble.
type simWorld struct {
	*testing.T
	seed  int64
	began time.Time
	net   *simNet
	rand  *rand.Rand // for the test's own goroutine

	mu    sync.Mutex
	nodes []*simNode // all that were ever started; guarded by mu
	loads []*simLoad // belongs to the test's own goroutine
}

// simulateLong is simulate for a test that the race detector would make too long. With a
// seed it runs there too.
func simulateLong(t *testing.T, test func(w *simWorld)) {
	t.Helper()
	if simRace && *simSeed == 0 {
		t.Skip("skipped: too long with the race detector; -simseed=N runs it")
	}
	simulate(t, test)
}

// simulate runs a test in virtual time, once for each seed.
func simulate(t *testing.T, test func(w *simWorld)) {
	t.Helper()
	seeds := []int64{*simSeed}
	if *simSeed == 0 {
		seeds = seeds[:0]
		for i := range *simSeeds {
			seeds = append(seeds, int64(i)+1)
		}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			began := time.Now()
			synctest.Test(t, func(t *testing.T) {
				w := &simWorld{
					T: t, seed: seed, began: time.Now(), net: newSimNet(seed), rand: rand.New(rand.NewPCG(uint64(seed), 2)),
				}
				t.Logf("replay with: go test ./cmd/bucketring -run '^%s$' -simseed=%d", t.Name()[:len(t.Name())-len(fmt.Sprintf("/seed=%d", seed))], seed)
				defer w.end()
				test(w)
			})
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
		})
	}
}

// end stops all nodes and lets a minute pass: what is left running then is a leak.
func (w *simWorld) end() {
	w.say("the end")
	for _, l := range w.loads {
		l.stop()
	}
	w.net.healAll()
	for _, n := range w.all() {
		n.kill(false)
	}
	for _, n := range w.all() {
		<-n.ended
	}
	time.Sleep(time.Minute)
}

// now is the virtual time since the world began.
func (w *simWorld) now() time.Duration { return time.Since(w.began) }

// say logs something of the schedule, with the virtual time.
func (w *simWorld) say(format string, args ...any) {
	w.Logf("%8.3fs  %s", w.now().Seconds(), fmt.Sprintf(format, args...))
}

// all returns the nodes that were ever started.
func (w *simWorld) all() []*simNode {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]*simNode(nil), w.nodes...)
}

// live returns the nodes that are ready and take calls.
func (w *simWorld) live() (live []*simNode) {
	for _, n := range w.all() {
		if n.serving.Load() {
			live = append(live, n)
		}
	}
	return live
}

// node returns the present node on a host, nil if there is none.
func (w *simWorld) node(host int) *simNode {
	for _, n := range w.live() {
		if n.host.no == host {
			return n
		}
	}
	return nil
}

// free returns a host without a node, the wanted one if it can be.
func (w *simWorld) free(want int) int {
	for w.node(want) != nil {
		want++
	}
	return want
}

// A simNode is one start of a node.
type simNode struct {
	w       *simWorld
	name    string
	host    *simHost
	s       *server
	door    bucketring.Limiter
	cancel  context.CancelFunc
	ready   chan struct{} // closed when it answers
	ended   chan struct{} // closed when it has ended
	err     error         // of its end; read after ended
	serving atomic.Bool   // callers may ask it
	dead    atomic.Bool   // what it says reaches nobody
	left    bool          // it was told to leave
	ahead   atomic.Int64  // by how much its wall clock has jumped, ns
	killed  atomic.Bool
}

// launch starts a node and does not wait. All but the first one know the first three
// hosts.
func (w *simWorld) launch(name string, host int) *simNode {
	w.Helper()
	time.Sleep(time.Duration(1 + w.rand.IntN(1000))) // no two starts have one boot
	cfg := &config{
		NodeName: name, Insecure: true, Budget: simBudget, MaxMemory: 64 << 20, Drain: 30 * time.Second, Linger: 5 * time.Second,
		Listen:  listen{Gossip: gossipAddr(host), Peer: peerAddr(host)},
		Cluster: clusterConfig{Label: "sim", BootstrapAfter: 10 * time.Second},
	}
	if len(w.all()) > 0 {
		cfg.Cluster.Join = []string{gossipAddr(1), gossipAddr(2), gossipAddr(3)}
	}
	for _, n := range w.live() {
		cfg.Cluster.Join = append(cfg.Cluster.Join, gossipAddr(n.host.no))
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &simNode{w: w, name: name, host: w.net.start(host), cancel: cancel, ready: make(chan struct{}), ended: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(w.Output(), &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: w.virtual})).With("at", name)
	var err error
	n.s, err = open(cfg, log, seams{
		listen: n.host.listen, wall: n.wall,
		member: member.Seams{
			Dial:    n.host.dial,
			Cluster: cluster.Seams{Transport: n.host.gossip, Rand: rand.New(rand.NewPCG(uint64(w.seed), w.rand.Uint64()))},
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	n.door = n.s.node.Door("sim")
	w.mu.Lock()
	w.nodes = append(w.nodes, n)
	w.mu.Unlock()
	go n.run(ctx)
	return n
}

const simBudget = 25 * time.Millisecond

// virtual shows the time of the log as seconds of the bubble.
func (w *simWorld) virtual(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.String("t", fmt.Sprintf("%.3f", a.Value.Time().Sub(w.began).Seconds()))
	}
	return a
}

func (n *simNode) run(ctx context.Context) {
	defer close(n.ended)
	n.err = n.s.serve(ctx, func(*server) {
		n.serving.Store(true)
		close(n.ready)
	})
	n.serving.Store(false)
	n.host.stop(false)
}

// start brings a node up and waits until it answers.
func (w *simWorld) start(name string, host int) *simNode {
	w.Helper()
	n := w.launch(name, host)
	n.awaitReady()
	return n
}

func (n *simNode) awaitReady() {
	n.w.Helper()
	began := time.Now()
	select {
	case <-n.ready:
		n.w.say("%s is ready after %v", n.name, time.Since(began).Round(time.Millisecond))
	case <-n.ended:
		n.w.Fatalf("%s ended before it was ready: %v", n.name, n.err)
	case <-time.After(time.Minute):
		n.w.Fatalf("%s is not ready after a minute", n.name)
	}
}

// cluster starts nodes n1, n2 … on the hosts 1, 2 ….
func (w *simWorld) cluster(size int) {
	w.Helper()
	w.start("n1", 1)
	var others []*simNode
	for i := 2; i <= size; i++ {
		others = append(others, w.launch(fmt.Sprint("n", i), i))
	}
	for _, n := range others {
		n.awaitReady()
	}
	w.awaitRest(5 * time.Second)
}

// leave stops a node in good order and waits for its end.
func (n *simNode) leave() {
	n.w.Helper()
	n.beginLeave()
	<-n.ended
	n.w.say("%s has left: %v", n.name, n.err)
	if n.err != nil {
		n.w.Errorf("%s ended with %v, want nil", n.name, n.err)
	}
}

// beginLeave has a node drain. It takes calls until it has handed all over, and a
// second more.
func (n *simNode) beginLeave() {
	n.w.say("%s leaves", n.name)
	n.left = true
	n.cancel()
	<-n.s.leaving.began
	go func() {
		select {
		case <-n.s.leaving.done:
		case <-n.ended:
		}
		time.Sleep(time.Second)
		n.serving.Store(false)
	}()
}

// crash takes a node away without a goodbye. If it is silent, connections to it do not
// break.
func (n *simNode) crash(silent bool) {
	n.w.say("%s crashes, silent: %v", n.name, silent)
	n.kill(silent)
}

// kill ends what remains of a node that the others cannot see any more.
func (n *simNode) kill(silent bool) {
	if n.killed.Swap(true) {
		return
	}
	n.serving.Store(false)
	n.dead.Store(true)
	n.host.stop(silent)
	n.end()
}

// end ends the goroutines of a node that is cut off. One that drains already does not
// hear of that, and gives up after a while.
func (n *simNode) end() {
	defer n.cancel()
	if !n.s.leaving.begin(func() {}) {
		return
	}
	close(n.s.leaving.done) // it has nobody to drain to
	if c := n.s.member.Cluster(); c != nil {
		_ = c.Close()
	}
}

// settled reports what is not as the ring of a node says: nil when it holds exactly
// the partitions that it owns.
func (n *simNode) settled() error {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	stats := n.s.node.Stats()
	switch {
	case n.s.node.Settle(over) != nil:
		return fmt.Errorf("%s lacks partitions: it has %d and owns %d", n.name, stats.Moves.Here, stats.Owned)
	case stats.Moves.Here != stats.Owned:
		return fmt.Errorf("%s has %d partitions and owns %d", n.name, stats.Moves.Here, stats.Owned)
	case stats.Moves.Acting != 0:
		return fmt.Errorf("%s acts for others in %d partitions", n.name, stats.Moves.Acting)
	}
	return nil
}

// oneView reports what differs in the rings of these nodes.
func oneView(nodes []*simNode) error {
	for _, n := range nodes {
		r, want := n.s.node.Ring(), nodes[0].s.node.Ring()
		if r.Fingerprint != want.Fingerprint || len(r.Members) != len(nodes) {
			return fmt.Errorf("%s sees %v, %s sees %v, want %d members", n.name, names(r), nodes[0].name, names(want), len(nodes))
		}
	}
	return nil
}

func names(r *ring.Ring) (all []string) {
	for _, m := range r.Members {
		all = append(all, m.Name)
	}
	return all
}

// settled reports the first node that is not as the ring says.
func (w *simWorld) settled() error {
	live := w.live()
	if err := oneView(live); err != nil {
		return err
	}
	here := 0
	for _, n := range live {
		if err := n.settled(); err != nil {
			return err
		}
		here += n.s.node.Stats().Moves.Here
	}
	if here != ring.Partitions && len(live) > 0 {
		return fmt.Errorf("%d partitions are here, want %d", here, ring.Partitions)
	}
	return nil
}

// within waits until check says nothing, and returns how long that took.
func (w *simWorld) within(d time.Duration, what string, check func() error) time.Duration {
	w.Helper()
	began := time.Now()
	for {
		err := check()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > d {
			w.Fatalf("%v: not within %v: %s: %v", w.now(), d, what, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// holdersIn is I1: so long after views agree each partition is at its owner alone.
const holdersIn = 2 * time.Second

// awaitRest waits until all live nodes see one ring, and then that it is obeyed.
func (w *simWorld) awaitRest(within time.Duration) {
	w.Helper()
	began := w.now()
	for {
		w.within(began+within-w.now(), "one view", func() error { return oneView(w.live()) })
		seen := w.now()
		for oneView(w.live()) == nil { // it may break again: gossip buries the living now and then
			err := w.settled()
			if err == nil {
				w.say("one view after %v, one holder after %v more",
					(seen - began).Round(time.Millisecond), (w.now() - seen).Round(time.Millisecond))
				return
			}
			if w.now()-seen > holdersIn {
				w.Fatalf("%v: not within %v: one holder of each partition, its owner: %v", w.now(), holdersIn, err)
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// doubtsLast is how long gossip may still bury a node after the network has healed.
const doubtsLast = 5 * time.Second

// awaitStable waits until the cluster has been at rest for so long that nobody is
// suspected any more.
func (w *simWorld) awaitStable(within time.Duration) {
	w.Helper()
	for began := w.now(); ; {
		w.awaitRest(began + within - w.now())
		time.Sleep(doubtsLast)
		if w.settled() == nil {
			return
		}
	}
}
