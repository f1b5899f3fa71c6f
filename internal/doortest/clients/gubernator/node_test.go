// node_test.go runs a node of bucketring.

package gubernator_test

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// slack is how long tests wait for what takes moments: a machine may be slow.
const slack = 45 * time.Second

// startNode runs a node on free ports of loopback until the test ends, and returns the
// address of its gRPC door once it is ready.
func startNode(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(binary(t), "serve", "--node-name", "n1", "--log-format", "json", "--stop-with-stdin",
		"--listen-gossip", "", "--listen-peer", "", "--listen-http", "127.0.0.1:0", "--listen-admin", "127.0.0.1:0", "--listen-grpc", "127.0.0.1:0")
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
	ready, ended := make(chan string, 1), make(chan struct{})
	var text strings.Builder // read after ended
	go func() {
		defer close(ended)
		addr := ""
		for lines := bufio.NewScanner(log); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			var line struct{ Msg, Door, Addr string }
			switch _ = json.Unmarshal(lines.Bytes(), &line); {
			case line.Msg == "listening" && line.Door == "grpc":
				addr = line.Addr
			case line.Msg == "ready":
				ready <- addr
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails only if it has ended
		_ = input.Close()
		<-ended
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("the log of the node:\n%s", text.String())
		}
	})
	select {
	case addr := <-ready:
		return addr
	case <-ended:
		t.Fatalf("the node has ended:\n%s", text.String())
	case <-time.After(slack):
		t.Fatalf("the node is not ready after %v", slack)
	}
	return ""
}

// binary returns the path of bucketring.
func binary(t *testing.T) string {
	t.Helper()
	if given := os.Getenv("BUCKETRING_BIN"); given != "" {
		path, err := filepath.Abs(given)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := filepath.Join(t.TempDir(), "bucketring")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", path, "./cmd/bucketring")
	cmd.Dir = "../../../.." // the main module
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v:\n%s", err, out)
	}
	return path
}
