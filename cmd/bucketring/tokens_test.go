// tokens_test.go takes tokens away from callers that are connected.

package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// tokenFile writes a token into a file of its own.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(name, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// getAs asks a page with a token and returns the status and the body.
func getAs(t *testing.T, client *http.Client, url, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// eventually waits until ok, which is asked again and again.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > slack {
			t.Fatalf("not after %v: %s", slack, what)
		}
	}
}

// A file that is bad changes nothing, and metrics say so.
func TestBadTokensFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	good := addToken(t, path, access.Grant{ID: "good", Scopes: bucketring.ScopeTake | bucketring.ScopeRead})
	n := startNode(t, "n1", "--tokens-file", path)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	metricAs := func(line string) func() bool {
		return func() bool {
			_, page := getAs(t, n.web.client, n.admin().base+"/metrics", good)
			return strings.Contains(page, line)
		}
	}
	if err := os.WriteFile(path, append(text, "nonsense"...), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a bad file shows in the metrics", metricAs(`bucketring_proof_reload_success{what="tokens"} 0`))
	if code, body := getAs(t, n.web.client, n.web.base+"/v1/take?key=k&limit=9/m", good); code != 200 {
		t.Errorf("beside a bad file: %d %s", code, body)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a good file shows in the metrics", metricAs(`bucketring_proof_reload_success{what="tokens"} 1`))
}

// A token that is taken out of the file ends on every door, also where it was shown long
// ago; one that is put in begins.
func TestTokensChangeLive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	old := addToken(t, path, access.Grant{ID: "old", Scopes: bucketring.ScopeTake})
	n := startNode(t, "n1", "--tokens-file", path, "--listen-resp", "127.0.0.1:0")
	take := n.web.base + "/v1/take?key=k&limit=1000/m"
	redis, err := dialRESP(t.Context(), n.at("resp"), credentials{token: old})
	if err != nil {
		t.Fatal(err)
	}
	defer redis.conn.Close()
	redis.tail = respWords("999", "1000", "60")
	stream, err := limitpb.NewLimiterClient(dialGRPC(t, n.at("grpc"))).TakeStream(metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+old))
	if err != nil {
		t.Fatal(err)
	}
	onStream := func() error {
		_ = stream.Send(&limitpb.StreamRequest{Id: 1, Request: &limitpb.TakeRequest{Key: "k", Limit: "1000/m"}}) // Recv says why it fails
		_, err := stream.Recv()
		return err
	}
	if _, err := redis.throttle(t.Context(), "k"); err != nil || onStream() != nil {
		t.Fatalf("with the token: %v, %v", err, onStream())
	}

	if err := access.Remove(path, "old"); err != nil {
		t.Fatal(err)
	}
	next := addToken(t, path, access.Grant{ID: "next", Scopes: bucketring.ScopeTake})
	eventually(t, "the new token is good", func() bool { code, _ := getAs(t, n.web.client, take, next); return code == 200 })
	if code, body := getAs(t, n.web.client, take, old); code != 401 {
		t.Errorf("the token that was removed: %d %s", code, body)
	}
	if err := onStream(); status.Code(err) != codes.Unauthenticated {
		t.Errorf("a stream with the token that was removed: %v", err)
	}
	if _, err := redis.throttle(t.Context(), "k"); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("a Redis client with the token that was removed: %v", err)
	}
	for _, token := range []string{old, next} {
		if strings.Contains(n.log(), token) {
			t.Error("the log has a token")
		}
	}
}

// A token ends when its time is over, without anybody touching the file.
func TestTokenExpiresLive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	brief := addToken(t, path, access.Grant{ID: "brief", Scopes: bucketring.ScopeTake, Expires: time.Now().Add(-time.Second)})
	n := startNode(t, "n1", "--tokens-file", path)
	if code, body := getAs(t, n.web.client, n.web.base+"/v1/take?key=k&limit=9/m", brief); code != 401 || !strings.Contains(body, "expired") {
		t.Errorf("an expired token: %d %s", code, body)
	}
}

// SIGHUP and the reload command read tokens too, also without policies. A bad file is told
// to who asks for the reload.
func TestReloadReadsTokens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	ops := addToken(t, path, access.Grant{ID: "ops", Scopes: bucketring.ScopeAdmin})
	n := startNode(t, "n1", "--tokens-file", path)
	reload := func() (string, error) {
		out, err := exec.Command("bucketring", "reload", "--admin-addr", n.at("admin"), "--token-file", tokenFile(t, ops)).CombinedOutput()
		return string(out), err
	}
	if out, err := reload(); err != nil {
		t.Errorf("reload: %v: %s", err, out)
	}
	if err := n.signal(syscall.SIGHUP); err != nil { // it must not end the node, at least
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, slices.Concat(text, []byte("more: 1\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := reload(); err == nil || !strings.Contains(out, fmt.Sprintf("%s:%d: unknown field \"more\"", path, strings.Count(string(text), "\n")+1)) {
		t.Errorf("reload of a bad file: %v: %s", err, out)
	}
}

// Who asks from the shell shows its token, and not in clear to other machines.
func TestCommandsShowTokens(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	token := addToken(t, path, access.Grant{ID: "shell", Scopes: bucketring.ScopeTake})
	n := startNode(t, "n1", "--tokens-file", path)
	command := func(env string, args ...string) string {
		cmd := exec.Command("bucketring", append(args, "--addr", n.at("http"))...)
		cmd.Env = childEnv(env)
		out, _ := cmd.CombinedOutput() // what it says is looked at
		return string(out)
	}
	file := tokenFile(t, token)
	for want, got := range map[string]string{
		"allowed: 1 of 2":              command("", "take", "a", "2/h", "--token-file", file),
		"allowed: 0 of 2":              command("BUCKETRING_TOKEN="+token, "take", "a", "2/h"),
		"denied":                       command("BUCKETRING_TOKEN_FILE="+file, "take", "a", "2/h"),
		"a token is needed":            command("", "take", "a", "2/h"),
		"it needs the scope adjust":    command("BUCKETRING_TOKEN="+token, "refund", "a", "2/h"),
		"it needs the scope read, and": command("BUCKETRING_TOKEN="+token, "members"),
	} {
		if !strings.Contains(got, want) || strings.Contains(got, token) {
			t.Errorf("a command says %q, want %q", got, want)
		}
	}
	cmd := exec.Command("bucketring", "take", "a", "2/h", "--addr", "192.0.2.1:7750", "--token-file", file)
	cmd.Env = childEnv()
	if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != exitUsage || !strings.Contains(string(out), "cross the network in clear") {
		t.Errorf("a token to another machine: %v: %s", err, out)
	}
}
