// project_test.go runs a compose project for one test and asks its nodes.

package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	engineTime  = 30 * time.Second // to answer at all, on a busy machine too
	projectTime = 8 * time.Minute  // from a build that has no cache to the last check
	cleanTime   = time.Minute
)

// A project is a compose project with its own name, image, ports and volumes, so
// that it meets no other on the same engine.
type project struct {
	t       *testing.T
	ctx     context.Context
	name    string
	image   string
	compose []string // the command, one word or two
}

// newProject builds the image. It skips the test where no engine answers. All
// that the project leaves behind is removed when the test ends.
func newProject(t *testing.T) *project {
	t.Helper()
	if testing.Short() {
		t.Skip("short: no containers")
	}
	name := fmt.Sprintf("bucketring-test-%d", os.Getpid())
	p := &project{t: t, name: name, image: "bucketring:test-" + strings.TrimPrefix(name, "bucketring-test-")}
	p.compose = composeCommand(t)
	if err := try(t, "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		t.Skipf("no container engine answers: %v", err)
	}
	if _, err := exec.LookPath("make"); err != nil {
		t.Skip("make is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), projectTime)
	p.ctx = ctx
	t.Cleanup(func() {
		cancel()
		p.remove()
	})
	p.run("make", "-C", root, "image", "IMAGE="+p.image, "VERSION=test")
	return p
}

// composeCommand returns the plugin or, before it, the program of its own. It
// skips the test where there is neither.
func composeCommand(t *testing.T) []string {
	t.Helper()
	var err error
	for _, command := range [][]string{{"docker", "compose"}, {"docker-compose"}} {
		if err = try(t, append(command, "version")...); err == nil {
			return command
		}
	}
	t.Skipf("no compose tool: %v", err)
	return nil
}

func try(t *testing.T, words ...string) error {
	ctx, cancel := context.WithTimeout(t.Context(), engineTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, words[0], words[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
	}
	return nil
}

func (p *project) remove() {
	ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
	defer cancel()
	if p.t.Failed() {
		out, _ := p.command(ctx, append(p.compose, "logs", "--no-color", "--tail", "50")...).CombinedOutput()
		p.t.Logf("logs:\n%s", out)
	}
	for _, words := range [][]string{
		append(p.compose, "down", "--volumes", "--remove-orphans", "--timeout", "5"),
		{"docker", "image", "rm", p.image},
	} {
		if out, err := p.command(ctx, words...).CombinedOutput(); err != nil {
			p.t.Errorf("clean up: %v: %v\n%s", words, err, out)
		}
	}
}

// command makes the project's settings the command's environment. Port 0 lets
// the engine choose. The budget is that of a machine that does other work too:
// the test is of limits, not of latency. Flags of an outer make are not for ours.
func (p *project) command(ctx context.Context, words ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "COMPOSE_PROJECT_NAME="+p.name,
		"COMPOSE_FILE="+filepath.Join(root, "docker-compose.yml"), "COMPOSE_PROFILES=", "BUCKETRING_IMAGE="+p.image,
		"HTTP_PORTS=0", "GRPC_PORTS=0", "BUCKETRING_FORWARD_BUDGET=2s", "MAKEFLAGS=", "MAKELEVEL=")
	return cmd
}

// run returns what the command printed, and ends the test if it failed.
func (p *project) run(words ...string) string {
	p.t.Helper()
	var errors strings.Builder
	began := time.Now()
	defer func() {
		if took := time.Since(began); took > time.Second {
			p.t.Logf("%5.1f s: %s", took.Seconds(), strings.Join(words, " "))
		}
	}()
	cmd := p.command(p.ctx, words...)
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("%s: %v\n%s%s", strings.Join(words, " "), err, out, errors.String())
	}
	return strings.TrimSpace(string(out))
}

func (p *project) up(flags ...string) {
	p.t.Helper()
	p.run(append(append(p.compose, "up", "-d", "--no-build"), flags...)...)
}

// A node is one container of the service node.
type node struct{ id, url string }

// nodes lists the containers that run, with the loopback port of each.
func (p *project) nodes() []node {
	p.t.Helper()
	ids := strings.Fields(p.run("docker", "ps", "--quiet", "--filter", "label=com.docker.compose.project="+p.name,
		"--filter", "label=com.docker.compose.service=node"))
	nodes := make([]node, len(ids))
	for i, id := range ids {
		addr := p.run("docker", "port", id, "7750/tcp")
		if !strings.HasPrefix(addr, "127.0.0.1:") || strings.Contains(addr, "\n") {
			p.t.Fatalf("container %s publishes %q, want one port of 127.0.0.1", id, addr)
		}
		nodes[i] = node{id, "http://" + addr}
	}
	return nodes
}

// ask sends one request and reads the JSON answer into v, which may be nil.
func (p *project) ask(method, url, body string, v any) (status int, err error) {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && v != nil {
		err = json.Unmarshal(text, v)
	}
	return resp.StatusCode, err
}

// eventually asks until what answers "", and ends the test with what was wrong
// last when within is over.
func (p *project) eventually(within time.Duration, what func() (wrong string)) {
	p.t.Helper()
	began := time.Now()
	for {
		wrong := what()
		if wrong == "" {
			return
		}
		if time.Since(began) > within || p.ctx.Err() != nil {
			p.t.Fatalf("after %v: %s", time.Since(began).Round(time.Second), wrong)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
