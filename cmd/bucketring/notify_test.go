package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A listening is a service manager that hears what it is told.
type listening struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func listenAsManager(t *testing.T) *listening {
	t.Helper()
	dir, err := os.MkdirTemp("", "sd") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &listening{t, conn, path}
}

// hears waits for states in order, between which that the process lives may be said.
func (l *listening) hears(want ...string) {
	l.t.Helper()
	for len(want) > 0 {
		if err := l.conn.SetReadDeadline(time.Now().Add(slack)); err != nil {
			l.t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := l.conn.Read(b)
		if err != nil {
			l.t.Fatalf("waiting for %v: %v", want, err)
		}
		switch got := string(b[:n]); got {
		case want[0]:
			want = want[1:]
		case stateAlive:
		default:
			l.t.Fatalf("told %s, want %v", got, want)
		}
	}
}

// systemd is told when a node is ready, loads anew, and stops; and that it lives.
func TestServiceManagerIsTold(t *testing.T) {
	manager := listenAsManager(t)
	p, err := launch("", childEnv("NOTIFY_SOCKET="+manager.path, "WATCHDOG_USEC=100000"), serveCommandLine("n1")...)
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	manager.hears(stateReady)
	manager.hears(stateAlive, stateAlive)
	if err := p.signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	manager.hears(stateReloading, stateReady)
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	manager.hears(stateStopping)
	if err := p.awaitEnd(); err != nil || p.cmd.ProcessState.ExitCode() != 0 {
		t.Errorf("the node ended with %v, %v:\n%s", err, p.cmd.ProcessState, p.log())
	}
}

// A reload does not make a node ready that is not.
func TestReloadIsNotReady(t *testing.T) {
	heard := listenAsManager(t)
	s := &server{manager: &manager{socket: heard.path, log: slog.New(slog.DiscardHandler)}, keeper: new(keeper)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nobody runs who would load
	s.health.set(errors.New("joining"))
	s.reload(ctx)
	s.manager.tell(stateStopping)
	heard.hears(stateStopping)
	s.health.set(nil)
	s.reload(ctx)
	heard.hears(stateReloading, stateReady)
}

func TestServiceManagerOfTheEnvironment(t *testing.T) {
	tests := []struct {
		name  string
		env   map[string]string
		every time.Duration
	}{
		{"none", nil, 0},
		{"no watchdog", map[string]string{"NOTIFY_SOCKET": "/x"}, 0},
		{"a watchdog", map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "10000000"}, 5 * time.Second},
		{"a watchdog of this one", map[string]string{"WATCHDOG_USEC": "2", "WATCHDOG_PID": "7"}, time.Microsecond},
		{"a watchdog of another", map[string]string{"WATCHDOG_USEC": "2", "WATCHDOG_PID": "8"}, 0},
		{"nonsense", map[string]string{"WATCHDOG_USEC": "-5"}, 0},
	}
	for _, tt := range tests {
		m := managerIn(func(name string) string { return tt.env[name] }, 7, slog.New(slog.DiscardHandler))
		if m.every != tt.every || m.socket != tt.env["NOTIFY_SOCKET"] {
			t.Errorf("%s: %+v, want every %v", tt.name, m, tt.every)
		}
	}
	m := &manager{socket: "/nowhere/at/all", log: slog.New(slog.DiscardHandler), every: time.Hour}
	m.tell(stateReady) // costs nothing but a line in the log
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.run(ctx); err != nil {
		t.Errorf("run = %v, want nil", err)
	}
}

// The unit is one that systemd takes, and is closed as far as it goes.
func TestSystemdUnit(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	program, err := exec.LookPath("bucketring")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../deploy/systemd/bucketring.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.ReplaceAll(string(text), "/usr/bin/bucketring", program)
	name := filepath.Join(t.TempDir(), "bucketring.service")
	if err := os.WriteFile(name, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"verify", name}, {"security", "--offline=yes", "--threshold=20", name}} {
		out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && len(out) > 0 {
			t.Errorf("systemd-analyze %v: %v\n%s", args, err, out)
		}
	}
	for _, want := range []string{
		"Type=notify", "DynamicUser=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "LimitNOFILE=65536", "StateDirectory=bucketring",
		"LoadCredential=cluster.key:/etc/bucketring/cluster.key", "WatchdogSec=10s", "TimeoutStopSec=60s",
	} {
		if !slices.Contains(strings.Split(unit, "\n"), want) {
			t.Errorf("the unit has no line %s", want)
		}
	}
}

// What the unit starts is a command that there is, with settings that there are.
func TestSystemdUnitStarts(t *testing.T) {
	text, err := os.ReadFile("../../deploy/systemd/bucketring.service")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(.+)$`).FindStringSubmatch(string(text))
	if line == nil {
		t.Fatal("the unit starts nothing of /usr/bin")
	}
	dir := t.TempDir()
	env := childEnv()
	for _, set := range regexp.MustCompile(`(?m)^#?Environment=(.+)$`).FindAllStringSubmatch(string(text), -1) {
		env = append(env, strings.NewReplacer("%d", dir, "%S", dir).Replace(set[1]))
	}
	config := filepath.Join(dir, "bucketring.yaml")
	if err := os.WriteFile(config, []byte("cluster: {label: prod}\ntls: {cert: x}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := strings.Fields(strings.Replace(line[1], "/etc/bucketring/bucketring.yaml", config, 1))
	if args[1] != "serve" {
		t.Fatalf("the unit runs %v, want serve", args)
	}
	cmd := exec.CommandContext(t.Context(), args[0], append([]string{"config", "print"}, args[2:]...)...)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "cluster.key") || strings.Count(string(out), "environment BUCKETRING_") != 4 {
		t.Errorf("config print with what the unit says: %v\n%s", err, out)
	}
}
