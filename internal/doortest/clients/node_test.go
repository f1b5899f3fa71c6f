// node_test.go runs nodes of bucketring.

package clients_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// A node is a process of bucketring.
type node struct{ doors map[string]string } // addresses by the name of the door

// startNode runs a node on free ports of loopback until the test ends, and waits until it
// is ready.
func startNode(t *testing.T, args ...string) node {
	t.Helper()
	return launch(t, "n1", append([]string{"--listen-gossip", "", "--listen-peer", ""}, args...)...)
}

// startCluster runs nodes that share their counters.
func startCluster(t *testing.T, count int, args ...string) (nodes []node) {
	t.Helper()
	args = append([]string{"--listen-gossip", "127.0.0.1:0", "--listen-peer", "127.0.0.1:0", "--cluster-label", "clients"}, args...)
	for i := range count {
		nodes = append(nodes, launch(t, fmt.Sprint("n", i+1), args...))
		if i == 0 {
			args = append(args, "--cluster-join", nodes[0].doors["gossip"])
		}
	}
	return nodes
}

func launch(t *testing.T, name string, args ...string) node {
	t.Helper()
	line := []string{"serve", "--node-name", name, "--log-format", "json", "--stop-with-stdin", "--forward-budget", "5s", "--resp-forward-budget", "5s"}
	for _, door := range []string{"http", "grpc", "admin", "resp"} {
		line = append(line, "--listen-"+door, "127.0.0.1:0")
	}
	cmd := exec.Command(bucketring(t), append(line, args...)...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "BUCKETRING_") {
			cmd.Env = append(cmd.Env, e)
		}
	}
	input, err := cmd.StdinPipe() // it ends when the test binary does, however that ends
	if err != nil {
		t.Fatal(err)
	}
	log, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &listener{doors: map[string]string{}, ready: make(chan struct{}), ended: make(chan struct{})}
	go l.read(bufio.NewScanner(log))
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails only if it has ended
		_ = input.Close()
		<-l.ended
		_ = cmd.Wait()
		if text := l.text.String(); t.Failed() || strings.Contains(text, "panic") {
			t.Errorf("the log of %s:\n%s", name, text)
		}
	})
	select {
	case <-l.ready:
	case <-l.ended:
		t.Fatalf("%s has ended:\n%s", name, l.text.String())
	case <-time.After(slack):
		t.Fatalf("%s is not ready after %v", name, slack)
	}
	return node{l.doors}
}

// A listener reads the log of a node. doors may be read after ready, text after ended.
type listener struct {
	doors        map[string]string
	text         strings.Builder
	ready, ended chan struct{}
}

func (l *listener) read(lines *bufio.Scanner) {
	defer close(l.ended)
	ready := false
	for lines.Scan() {
		l.text.WriteString(lines.Text() + "\n")
		var line struct{ Msg, Door, Addr string }
		switch {
		case ready || json.Unmarshal(lines.Bytes(), &line) != nil:
		case line.Msg == "listening":
			l.doors[line.Door] = line.Addr
		case line.Msg == "ready":
			ready = true
			close(l.ready)
		}
	}
}

// dial connects to the gRPC door.
func (n node) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(n.doors["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}
