// notify.go tells systemd how far a node is, if systemd started it: sd_notify(3).

package main

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// A manager is what has started this process and wants to know how it does. The zero value
// wants to know nothing.
type manager struct {
	socket string        // where it listens
	every  time.Duration // how often it wants to hear that this process lives; 0 is never
	log    *slog.Logger
}

// managerIn reads of a service manager in the environment. One that watches another process,
// of which pid is not this one's, is not told.
func managerIn(env func(string) string, pid int, log *slog.Logger) *manager {
	m := &manager{socket: env("NOTIFY_SOCKET"), log: log}
	if whom := env("WATCHDOG_PID"); whom == "" || whom == strconv.Itoa(pid) {
		micros, _ := strconv.ParseInt(env("WATCHDOG_USEC"), 10, 64)
		m.every = time.Duration(max(micros, 0)) * time.Microsecond / 2 // one may be late
	}
	return m
}

// The states that a service manager knows.
const (
	stateReady     = "READY=1"
	stateReloading = "RELOADING=1"
	stateStopping  = "STOPPING=1"
	stateAlive     = "WATCHDOG=1"
)

// tell reports a state. Who does not hear it does not keep a node from its work.
func (m *manager) tell(state string) {
	if m.socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: m.socket, Net: "unixgram"})
	if err == nil {
		defer conn.Close()
		_, err = conn.Write([]byte(state))
	}
	if err != nil {
		m.log.Warn("service manager not told", "err", err)
	}
}

// run says again and again that this process lives, until ctx is done.
func (m *manager) run(ctx context.Context) error {
	if m.socket == "" || m.every == 0 {
		return nil
	}
	tick := time.NewTicker(m.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			m.tell(stateAlive)
		}
	}
}

// onHangup has SIGHUP load everything, until ctx is done.
func (s *server) onHangup(ctx context.Context) {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	go func() {
		defer signal.Stop(hangup)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangup:
				s.reload(ctx)
			}
		}
	}()
}

// reload loads everything, and says so. A node that joins or drains is not ready after that.
func (s *server) reload(ctx context.Context) {
	was := s.health.is()
	if was {
		s.manager.tell(stateReloading)
	}
	_ = s.keeper.Reload(ctx) // what is wrong is logged
	if was {
		s.manager.tell(stateReady)
	}
}
