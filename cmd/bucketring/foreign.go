// foreign.go has the doors that clients of other products know, and how all doors count
// that have counters of their own.

package main

import (
	"net/http"
	"slices"
	"time"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/cluster"
	"github.com/bucketring/bucketring/internal/envoyrls"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/internal/metrics"
	"github.com/bucketring/bucketring/internal/resp"
)

// steps are how the doors count that have counters of their own. All nodes of a cluster
// have them all, whichever doors are open.
func steps() bucketring.Steps {
	return bucketring.Steps{resp.CounterID: resp.CounterStep, gubernatorapi.StepID: gubernatorapi.Step, envoyrls.StepID: envoyrls.Step}
}

// A gubernatorConfig is what operators can say of the door for clients of Gubernator.
type gubernatorConfig struct {
	Skew       time.Duration // below 0 is unlimited
	Zone       *time.Location
	Lenient    bool // to MULTI_REGION
	RetryAfter bool
	MaxKeyLen  int64
}

func newGubernator(s *server) *gubernatorapi.Server {
	cfg := s.cfg.Gubernator
	return gubernatorapi.New(gubernatorapi.Config{
		Limiter: s.node.Door("gubernator"), Address: s.apiOf, Peers: s.gubernatorPeers, Zone: cfg.Zone, MaxClockSkew: cfg.Skew,
		MaxKeyLen: int(cfg.MaxKeyLen), IgnoreMultiRegion: cfg.Lenient, RetryAfter: cfg.RetryAfter, Logger: s.log,
		Access: gubernatorapi.Access{Guard: s.proof.guard(), Token: httpapi.Token},
	})
}

func newEnvoy(s *server) *envoyrls.Server {
	cfg := envoyrls.Config{
		Limiter: s.node.Door("envoy"), Policies: s.node.Policies, Settings: s.cfg.Envoy, Guard: s.proof.guard(), Logger: s.log,
	}
	if s.cfg.Envoy.Metrics {
		cfg.Observe = s.metrics.TimeEnvoy()
	}
	return envoyrls.New(cfg)
}

// envoyStats are the figures of the Envoy door.
func (s *server) envoyStats() metrics.Envoy {
	stats := s.envoy.Stats()
	e := metrics.Envoy{Known: s.cfg.Envoy.Metrics, UnknownDomains: stats.UnknownDomains, Degraded: stats.Degraded, Calls: stats.Calls, Invalid: stats.Invalid, Failed: stats.Failed}
	e.LoadsThatWorked, e.LoadsThatDont = s.keeper.loads()
	for _, r := range stats.Rules {
		e.Rules = append(e.Rules, metrics.EnvoyRule{
			Domain: r.Domain, Key1: r.Key1, Key2: r.Key2, TotalHits: r.TotalHits, OverLimit: r.OverLimit, NearLimit: r.NearLimit,
			WithinLimit: r.WithinLimit, ShadowedHits: r.ShadowMode,
		})
	}
	return e
}

// openMethods are those of gRPC that probes call, who have no token.
var openMethods = []string{
	healthpb.Health_Check_FullMethodName, healthpb.Health_Watch_FullMethodName, healthpb.Health_List_FullMethodName, pb.V1_LiveCheck_FullMethodName,
}

// registerForeign has g serve the APIs of other products.
func (s *server) registerForeign(g *grpc.Server) {
	s.gubernator.Register(g)
	s.envoy.Register(g)
	for _, service := range []string{pb.V1_ServiceDesc.ServiceName, envoyrls.ServiceName, "ratelimit"} { // the last is what probes of envoyproxy/ratelimit ask for
		s.doors.health.SetServingStatus(service, healthpb.HealthCheckResponse_SERVING)
	}
	if s.cfg.Reflection {
		reflection.Register(g)
	}
}

// apis are where clients reach the gRPC APIs of members, by name, as a version of the cluster
// has them. They do not change.
type apis struct {
	version uint64
	of      map[string]string
}

// apiOf returns where clients reach the gRPC API of a member; empty if it is not known. It is
// asked for every item that another node has decided.
func (s *server) apiOf(name string) string {
	c := s.member.Cluster()
	if c == nil {
		return ""
	}
	version, known := c.Version(), s.apis.Load()
	if known == nil || known.version != version {
		known = &apis{version, map[string]string{}}
		for _, m := range c.Members() {
			known.of[m.Name] = m.API
		}
		s.apis.Store(known)
	}
	return known.of[name]
}

// gubernatorPeers are the members that are there, by their names where they tell no address.
func (s *server) gubernatorPeers() (peers []gubernatorapi.Peer) {
	for _, m := range (*view)(s).known() {
		if m.State != cluster.StateActive && m.State != cluster.StateLeaving {
			continue
		}
		p := gubernatorapi.Peer{Address: m.API, Self: m.Self}
		if m.Self && s.doors.grpc != nil && p.Address == "" { // alone
			p.Address = s.doors.grpc.Addr().String()
		}
		if p.Address == "" {
			p.Address = m.Name
		}
		peers = append(peers, p)
	}
	return peers
}

// httpDoor serves our API, and the paths of others beside it. It is no ServeMux: that would
// redirect paths that our API answers otherwise.
func (s *server) httpDoor() http.Handler {
	foreign := gubernatorapi.Paths()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(foreign, r.URL.Path) {
			s.gubernator.ServeHTTP(w, r)
			return
		}
		s.http.ServeHTTP(w, r)
	})
}

// notServing tells those who watch this node to go elsewhere, while it still serves.
func (s *server) notServing() {
	s.doors.notServing()
	s.gubernator.NotServing()
}
