// doors.go opens the listeners, serves them and closes them again.

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
	"github.com/bucketring/bucketring/internal/resp"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// doors are the sockets of a node; nil or empty is off. Gossip opens its own.
type doors struct {
	http, grpc, admin, resp, peer net.Listener
	gossip                        string

	health  *health.Server
	closers []func(context.Context) // in the order in which they close
}

// open binds all sockets, so that what is taken shows before anything starts. A nil
// bind opens TCP sockets.
func (d *doors) open(at listen, bind func(addr string) (net.Listener, error)) error {
	if bind == nil {
		bind = func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
	}
	d.gossip, d.health = at.Gossip, health.NewServer()
	for _, door := range []struct {
		name, addr string
		to         *net.Listener
	}{
		{"listen-http", at.HTTP, &d.http}, {"listen-grpc", at.GRPC, &d.grpc},
		{"listen-admin", at.Admin, &d.admin}, {"listen-resp", at.RESP, &d.resp}, {"listen-peer", at.Peer, &d.peer},
	} {
		if door.addr == "" {
			continue
		}
		l, err := bind(door.addr)
		if err != nil {
			d.closeSockets()
			return fmt.Errorf("%s: %w: choose another address with --%s", door.name, err, door.name)
		}
		*door.to = l
	}
	return nil
}

func (d *doors) closeSockets() {
	for _, l := range []net.Listener{d.http, d.grpc, d.admin, d.resp, d.peer} {
		if l != nil {
			_ = l.Close()
		}
	}
}

// portOf returns the port of a socket; 0 for none.
func portOf(addr net.Addr) uint16 {
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return uint16(tcp.Port)
	}
	return 0
}

// serveClients opens the doors for callers.
func (s *server) serveClients(group *errgroup.Group) {
	if s.doors.http != nil {
		s.doors.serveHTTP(group, "http", s.doors.http, s.secured("http", httpapi.Server(s.leaving.closing(s.httpDoor()), errorLog(s.log))))
	}
	if s.doors.grpc != nil {
		g := s.api.GRPC()
		healthpb.RegisterHealthServer(g, s.doors.health)
		s.registerForeign(g)
		s.doors.health.SetServingStatus(limitpb.Limiter_ServiceDesc.ServiceName, healthpb.HealthCheckResponse_SERVING)
		s.doors.closers = append(s.doors.closers, func(context.Context) { s.api.EndStreams() })
		s.doors.serveGRPC(group, "grpc", s.doors.grpc, g)
	}
	if s.doors.resp != nil {
		l := s.doors.resp
		if t := s.proof.door("resp"); t != nil {
			l = tls.NewListener(l, t)
		}
		s.doors.serveRESP(group, l, s.resp)
	}
	for name, addr := range s.addresses() {
		s.log.Info("listening", "door", name, "addr", addr)
	}
}

// addresses returns where each door really listens.
func (s *server) addresses() map[string]string {
	all := map[string]string{}
	for name, l := range map[string]net.Listener{
		"http": s.doors.http, "grpc": s.doors.grpc, "admin": s.doors.admin, "resp": s.doors.resp,
		"peer": s.doors.peer,
	} {
		if l != nil {
			all[name] = l.Addr().String()
		}
	}
	if c := s.member.Cluster(); c != nil {
		all["gossip"] = c.Addr()
	}
	return all
}

func (d *doors) serveHTTP(group *errgroup.Group, name string, l net.Listener, server *http.Server) {
	serve := server.Serve
	if server.TLSConfig != nil {
		serve = func(l net.Listener) error { return server.ServeTLS(l, "", "") }
	}
	group.Go(func() error {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", name, err)
		}
		return nil
	})
	d.closers = append(d.closers, func(ctx context.Context) {
		if server.Shutdown(ctx) != nil {
			_ = server.Close()
		}
	})
}

func (d *doors) serveGRPC(group *errgroup.Group, name string, l net.Listener, server *grpc.Server) {
	group.Go(func() error {
		if err := server.Serve(l); err != nil {
			return fmt.Errorf("serve %s: %w", name, err)
		}
		return nil
	})
	d.closers = append(d.closers, func(ctx context.Context) {
		// Streams do not end by themselves, so they get a moment and no more.
		stop := context.AfterFunc(ctx, server.Stop)
		defer stop()
		timer := time.AfterFunc(time.Second, server.Stop)
		defer timer.Stop()
		server.GracefulStop()
	})
}

func (d *doors) serveRESP(group *errgroup.Group, l net.Listener, server *resp.Server) {
	group.Go(func() error {
		if err := server.Serve(l); err != nil {
			return fmt.Errorf("serve resp: %w", err)
		}
		return nil
	})
	d.closers = append(d.closers, func(ctx context.Context) { _ = server.Shutdown(ctx) }) // it has closed, whatever it says
}

// notServing tells those who watch gRPC health to go elsewhere.
func (d *doors) notServing() { d.health.Shutdown() }

// close ends all servers, together and within ctx.
func (d *doors) close(ctx context.Context) {
	var all sync.WaitGroup
	for _, end := range d.closers {
		all.Go(func() { end(ctx) })
	}
	all.Wait()
	d.closeSockets()
}

// adminServer serves operators: metrics, profiles and probes.
func (s *server) adminServer() *http.Server {
	mux := http.NewServeMux()
	guard := s.proof.guard()
	mux.Handle("GET /metrics", httpapi.Guarded(guard, bucketring.ScopeRead|bucketring.ScopeAdmin, s.metrics.Handler()))
	admin := httpapi.NewAdmin(httpapi.AdminConfig{Admin: s.keeper, Drainer: (*drainer)(s), Forgetter: (*forgetter)(s), Guard: guard, Logger: s.log, Top: s.top, ClearKeys: s.cfg.LogKeys})
	mux.Handle("/v1/admin/", admin)
	mux.Handle("/-/reload", httpapi.ReloadAlias(admin))
	(&httpapi.Health{Checks: s.health.checks}).Register(mux)
	for path, page := range map[string]http.HandlerFunc{
		"": pprof.Index, "cmdline": pprof.Cmdline, "profile": pprof.Profile, "symbol": pprof.Symbol, "trace": pprof.Trace,
	} {
		mux.Handle("GET /debug/pprof/"+path, httpapi.Guarded(guard, bucketring.ScopeAdmin, page))
	}
	var handler http.Handler = mux
	if guard == nil {
		handler = httpapi.Local(mux)
	}
	server := httpapi.Server(handler, errorLog(s.log))
	server.WriteTimeout = 65 * time.Second // profiles take half a minute
	return s.secured("admin", server)
}

// secured has a server speak TLS, if there is a certificate, and HTTP/2 over that.
func (s *server) secured(door string, server *http.Server) *http.Server {
	if server.TLSConfig = s.proof.door(door); server.TLSConfig != nil {
		server.Protocols.SetHTTP2(true)
		server.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 256}
	}
	return server
}

// errorLog takes what net/http says about single connections.
func errorLog(log *slog.Logger) *stdlog.Logger {
	return slog.NewLogLogger(log.Handler(), slog.LevelDebug)
}
