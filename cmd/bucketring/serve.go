package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/internal/envoyrls"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/internal/metrics"
	"github.com/bucketring/bucketring/internal/resp"
	"github.com/bucketring/bucketring/internal/store"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/node/member"
	"github.com/bucketring/bucketring/ring"
	"github.com/bucketring/bucketring/transport"
)

func serveCommand() *cobra.Command {
	table := settings(false)
	cmd := &cobra.Command{
		Use: serveName, Short: "Run one node of a cluster", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := readConfig(cmd, table)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			if with, _ := cmd.Flags().GetBool(stopWithStdin); with {
				ctx = untilEOF(ctx, cmd.InOrStdin())
			}
			return serve(ctx, cfg, newLogger(cmd.ErrOrStderr(), cfg), nil)
		},
	}
	addFlags(cmd.Flags(), table)
	cmd.Flags().Bool(stopWithStdin, false, "stop when standard input ends, as the demo's nodes do")
	_ = cmd.Flags().MarkHidden(stopWithStdin)
	return cmd
}

const (
	serveName     = "serve"
	stopWithStdin = "stop-with-stdin"
)

// untilEOF ends the context when in ends: a parent process has gone then.
func untilEOF(ctx context.Context, in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, in)
	}()
	return ctx
}

// A server is one node with its doors. Its fields are set by open, in order.
type server struct {
	cfg     *config
	log     *slog.Logger
	seams   seams
	keys    member.Keys
	proof   *proofs
	keyfile *keyfile                // nil without one
	names   func(key string) string // of keys that must not be seen
	memory  *memory
	began   time.Time
	manager *manager

	doors      doors
	metrics    *metrics.Metrics
	node       *node.Node
	keeper     *keeper
	disk       *store.Store // nil without one
	member     *member.Member
	apis       atomic.Pointer[apis] // nil until somebody asks
	api        *transport.Server
	resp       *resp.Server
	gubernator *gubernatorapi.Server
	envoy      *envoyrls.Server
	http       *httpapi.Handler
	health     readiness
	leaving    *leaving
}

// seams are what tests replace. The zero value is the network.
type seams struct {
	listen func(addr string) (net.Listener, error) // nil opens a TCP socket
	member member.Seams
	wall   func() time.Time // nil reads the system's clock
}

// serve runs a node until ctx is done, and then drains it. ready, if set, is
// called once the node answers.
func serve(ctx context.Context, cfg *config, log *slog.Logger, ready func(*server)) error {
	collectSeldom()
	s, err := open(cfg, log, seams{})
	if err != nil {
		return err
	}
	s.manager = managerIn(os.Getenv, os.Getpid(), log)
	s.onHangup(ctx)
	return s.serve(ctx, ready)
}

// serve is the life of a node that is open.
func (s *server) serve(ctx context.Context, ready func(*server)) (err error) {
	base, stop := context.WithCancel(context.Background()) // outlives ctx by the drain
	defer stop()
	group, running := errgroup.WithContext(base)
	s.run(base, group) // also when a listener fails: the drain needs it

	if err = s.join(ctx); err == nil {
		s.takeOver(ctx)
		s.serveClients(group)
		s.leaving.unless(func() { s.health.set(nil) })
		s.log.Info("ready", "node", s.cfg.NodeName)
		s.manager.tell(stateReady)
		if ready != nil {
			ready(s)
		}
		err = s.wait(ctx, running)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // a signal came while it was joining
	}
	s.drain(err == nil)
	stop()
	err = errors.Join(err, group.Wait())
	if s.disk != nil {
		err = errors.Join(err, s.disk.Close())
	}
	return asExit(err)
}

// open makes the parts of a node and its sockets. Nothing runs yet.
func open(cfg *config, log *slog.Logger, with seams) (*server, error) {
	s := &server{cfg: cfg, log: log, seams: with, began: time.Now(), leaving: newLeaving(), manager: &manager{}}
	var err error
	if cfg.KeyFile != "" {
		if s.keys, err = member.ReadKeys(cfg.KeyFile); err != nil {
			return nil, usage(err)
		}
	}
	s.keys.Insecure = cfg.Insecure
	if s.proof, err = openProofs(cfg, &s.keys, log); err != nil {
		return nil, usage(err)
	}
	if err := checkExposure(cfg); err != nil {
		return nil, usage(err)
	}
	if cfg.Insecure {
		log.Warn("insecure: whoever reaches the listeners is trusted")
	}
	s.health.set(errors.New("joining the cluster"))
	if err := s.wire(); err != nil {
		return nil, err
	}
	return s, asExit(s.doors.open(cfg.Listen, with.listen))
}

// wire makes the node and its doors.
func (s *server) wire() error {
	var err error
	if s.metrics, err = metrics.New(); err != nil {
		return asExit(err)
	}
	if err := errors.Join(s.nameKeys(), s.wireNode()); err != nil {
		return asExit(err)
	}
	s.node = s.member.Node()
	s.keeper = &keeper{path: s.cfg.Policies, merge: s.cfg.MergeDomains, node: s.node, log: s.log, tell: s.member.TellPolicies, spreader: newSpreader(), dir: s.cfg.DataDir}
	if s.cfg.KeyFile != "" {
		s.keyfile = &keyfile{path: s.cfg.KeyFile, member: s.member, log: s.log}
		s.proof.add("keys", s.keyfile.load, s.cfg.KeyFile)
	}
	if s.proof.any() {
		s.keeper.also = s.proof.Reload
	}
	if s.cfg.Listen.Gossip != "" {
		s.keeper.spreader.tell = s.member.Pool().Tell
	}
	if err := errors.Join(s.keeper.start(), s.keeper.recall()); err != nil {
		return err
	}
	s.wireDoors()
	return nil
}

// wireDoors makes what callers ask.
func (s *server) wireDoors() {
	s.api = transport.NewGuarded(transport.ServerConfig{
		Limiter: s.node.Door("grpc"), Guard: s.proof.guard(), Open: openMethods, TLS: s.proof.door("grpc"),
	})
	s.resp, s.gubernator, s.envoy = newRESP(s), newGubernator(s), newEnvoy(s)
	s.http = httpapi.New(httpapi.Config{
		Limiter: s.node.Door("http"), Policies: s.node.Policies, View: (*view)(s), Health: &httpapi.Health{Checks: s.health.checks}, Guard: s.proof.guard(), Logger: s.log,
	})
}

// wireNode makes the node and its way to others.
func (s *server) wireNode() (err error) {
	own := node.Config{
		Budget: s.cfg.Budget, MaxKeys: s.cfg.MaxKeys, MaxBytes: memoryFor(s.cfg), Steps: steps(), Observe: s.metrics.Observe,
		ObserveTakeOver: s.metrics.ObserveTakeOver, Wall: s.seams.wall, Logger: s.log, KeyName: s.inLog,
	}
	var found iter.Seq2[[]byte, []byte]
	if s.disk, found, err = openDisk(s.cfg, s.log); err != nil {
		return err
	}
	if s.disk != nil {
		own.Store, own.Restored = keptCounters{s.disk}, found
	}
	s.memory = openMemory(s.cfg.DataDir, s.log)
	seams := s.seams.member
	seams.BootstrapAfter = s.cfg.Cluster.BootstrapAfter
	s.member, err = member.New(member.Config{
		Name: s.cfg.NodeName, Zone: s.cfg.NodeZone, Version: version, Gossip: s.cfg.Listen.Gossip, Advertise: s.cfg.Advertise, Join: s.cfg.Cluster.Join, Known: s.memory.addrs,
		Label: s.cfg.Cluster.Label, Keys: s.keys, Node: own, Seams: seams,
		Hooks: member.Hooks{
			Frame:  s.metrics.ObserveFrame,
			Told:   s.told,
			OnRing: func(*ring.Ring) { s.keeper.spreader.changed(); s.memory.changed() },
		},
	})
	return err
}

// memoryFor returns the bytes that counters may take: what the configuration
// says, or 60 % of what the process may have.
func memoryFor(cfg *config) int64 {
	if cfg.MaxMemory > 0 {
		return cfg.MaxMemory
	}
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		limit, _ = memlimit.Set(memlimit.WithRatio(0.9),
			memlimit.WithProvider(memlimit.ApplyFallback(memlimit.FromCgroup, memlimit.FromSystem)),
			memlimit.WithLogger(slog.New(slog.DiscardHandler)))
	}
	return limit / 10 * 6
}

// newRESP makes the door for Redis clients.
func newRESP(s *server) *resp.Server {
	idle := s.cfg.RESP.Idle
	if idle == 0 {
		idle = -1 // for ever
	}
	return resp.NewServer(resp.Config{
		Limiter: s.node.Door("resp"), Unavailable: s.cfg.RESP.Unavailable, ForwardWithin: s.cfg.RESP.Budget, IdleTimeout: idle,
		IdleExpiry: s.cfg.RESP.Expiry, Version: version, Guard: s.proof.guard(), Logger: s.log,
	})
}

// run starts what must work before the node joins: its upkeep, the listener for
// peers, which will ask at once, and that for operators, who may look on.
func (s *server) run(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return s.member.Run(ctx) })
	group.Go(func() error { return s.keeper.run(ctx) })
	group.Go(func() error { return s.proof.run(ctx) })
	group.Go(func() error { return s.manager.run(ctx) })
	group.Go(func() error { return s.keeper.spreader.run(ctx) })
	group.Go(func() error { return s.memory.run(ctx, (*view)(s).known) })
	if s.doors.peer != nil {
		s.doors.serveGRPC(group, "peer", transport.Listener(s.doors.peer), s.member.PeerServer().GRPC())
	}
	if s.doors.admin != nil {
		s.doors.serveHTTP(group, "admin", s.doors.admin, s.adminServer())
	}
	src := metrics.Sources{
		Node: s.node.Stats, Envoy: s.envoyStats, Policies: s.policyStats, Version: version, Insecure: s.cfg.Insecure, StoreLimit: memoryFor(s.cfg),
		Panics: map[string]func() int64{
			"http": func() int64 { return int64(s.http.Stats().Panics) }, "grpc": s.api.Panics,
			"resp": func() int64 { return int64(s.resp.Stats().Panics) }, "gubernator": func() int64 { return int64(s.gubernator.Stats().Panics) },
			"envoy": func() int64 { return int64(s.envoy.Stats().Panics) },
		},
	}
	if s.disk != nil {
		src.Disk = s.diskStats
	}
	if s.proof.any() {
		src.Proofs = s.proof.stats
	}
	if s.doors.gossip != "" {
		src.Disagreement, src.StoreLimit = s.member.Disagreement, src.StoreLimit/2 // the other half is for copies
		if s.keyfile != nil {
			src.Keys = s.keyStats
		}
		src.Links, src.Peers = s.member.Pool().Stats, s.member.PeerServer().Stats
		src.Cluster = func() cluster.Stats {
			if c := s.member.Cluster(); c != nil {
				return c.Stats()
			}
			return cluster.Stats{}
		}
	}
	s.metrics.Watch(src)
}

// join makes the node a member of its cluster.
func (s *server) join(ctx context.Context) error {
	at := member.Addresses{}
	if s.doors.peer != nil {
		at.Peer = s.doors.peer.Addr().String()
	}
	if d := s.doors; d.grpc != nil && (at.Peer == "" || member.IsLoopback(at.Peer) || !member.IsLoopback(d.grpc.Addr().String())) {
		at.API = portOf(d.grpc.Addr()) // else nobody elsewhere could reach it
	}
	err := s.member.Join(ctx, at)
	s.memory.changed() // a ring that came before the end of that told of members that nobody could ask for yet
	return err
}

// policyStats is the state of the policies, for metrics.
func (s *server) policyStats() metrics.Policies {
	set := s.node.Policies()
	stats := metrics.Policies{Hashes: map[string]string{}}
	stats.OK, stats.Loaded = s.keeper.ok()
	for _, p := range set.Policies() {
		stats.Hashes[p.Namespace()] = fmt.Sprintf("%016x", p.Hash())
	}
	for _, m := range (*view)(s).known() {
		if m.State == cluster.StateActive && !m.Self && m.PolicyHash != set.Hash() {
			stats.Mismatch++
		}
	}
	return stats
}

// wait returns nil when the node shall stop, and an error when it must.
func (s *server) wait(ctx, running context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-running.Done(): // a listener failed; the group has the error
		return nil
	case <-s.leaving.asked: // an operator wants it gone
		return nil
	case <-s.member.Superseded():
		return fmt.Errorf("another node with the name %s has started: give each node its own --node-name", s.cfg.NodeName)
	}
}
