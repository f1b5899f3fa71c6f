// cluster_test.go is the life of a cluster in containers: start, one limit over
// all nodes, more nodes, a goodbye.

package deploy_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// formTime bounds how long nodes take to find each other and agree on the ring.
const formTime = 60 * time.Second

func TestComposeToolAccepts(t *testing.T) {
	command := composeCommand(t)
	file := filepath.Join(root, "docker-compose.yml")
	for _, flags := range [][]string{
		{"-f", file, "config", "--quiet"},
		{"-f", file, "--env-file", filepath.Join(root, "deploy/prometheus/observe.env"), "config", "--quiet"},
	} {
		if err := try(t, append(command, flags...)...); err != nil {
			t.Error(err)
		}
	}
}

func TestClusterInContainers(t *testing.T) {
	p := newProject(t)

	p.up()
	three := p.agree(3)
	p.healthy(three)
	for i := range 6 { // enough keys for every node to own some
		p.exactly(three, fmt.Sprintf("three-%d", i))
	}

	p.up("--no-recreate", "--scale", "node=5")
	five := p.agree(5)
	for i := range 10 {
		p.exactly(five, fmt.Sprintf("five-%d", i))
	}
	p.goodbye(five[0])
	p.agree(4)
}

// agree waits until n nodes are ready, know each other and use the same ring.
func (p *project) agree(n int) (nodes []node) {
	p.t.Helper()
	began := time.Now()
	p.eventually(formTime, func() string {
		if nodes = p.nodes(); len(nodes) != n {
			return fmt.Sprintf("%d containers run, want %d", len(nodes), n)
		}
		rings := map[string]bool{}
		for _, node := range nodes {
			ring, wrong := p.look(node, n)
			if wrong != "" {
				return wrong
			}
			rings[ring] = true
		}
		if len(rings) != 1 {
			return fmt.Sprintf("%d nodes use %d different rings", n, len(rings))
		}
		return ""
	})
	p.t.Logf("%d nodes agree after %v", n, time.Since(began).Round(100*time.Millisecond))
	return nodes
}

// look returns the fingerprint of a node's ring, or what keeps it from seeing n
// active members.
func (p *project) look(at node, n int) (ring, wrong string) {
	var members struct {
		Members []struct{ Name, State string }
	}
	var owners struct {
		Fingerprint string
		Members     []struct{ Name string }
	}
	for path, v := range map[string]any{"/readyz": nil, "/v1/members": &members, "/v1/ring": &owners} {
		if status, err := p.ask("GET", at.url+path, "", v); err != nil || status != http.StatusOK {
			return "", fmt.Sprintf("node %s: %s: status %d, error %v", at.id, path, status, err)
		}
	}
	active := 0
	for _, m := range members.Members {
		if m.State == "active" {
			active++
		}
	}
	if active != n || len(owners.Members) != n {
		return "", fmt.Sprintf("node %s: members %v, ring of %d, want %d active", at.id, members.Members, len(owners.Members), n)
	}
	return owners.Fingerprint, ""
}

// healthy waits for the engine's own verdict, which the image's check gives.
func (p *project) healthy(nodes []node) {
	p.t.Helper()
	for _, n := range nodes {
		p.eventually(30*time.Second, func() string {
			if got := p.run("docker", "inspect", "--format", "{{.State.Health.Status}}", n.id); got != "healthy" {
				return "node " + n.id + " is " + got
			}
			return ""
		})
	}
}

// exactly takes one key with a limit of 100 through all nodes at once and expects
// 100 of the 150 takes, or one more for each 36 s that it took.
func (p *project) exactly(nodes []node, key string) {
	p.t.Helper()
	const limit, takes = 100, 150
	var (
		mu       sync.Mutex // guards the two below
		admitted int
		wrong    []string
		all      sync.WaitGroup
	)
	began := time.Now()
	for i, n := range nodes {
		all.Go(func() {
			for range share(takes, len(nodes), i) {
				allowed, problem := p.take(n, key)
				mu.Lock()
				if allowed {
					admitted++
				}
				if problem != "" {
					wrong = append(wrong, problem)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	refilled := int(time.Since(began) / (time.Hour / limit))
	if len(wrong) > 0 {
		p.t.Fatalf("key %s: %d of %d takes failed, first: %s", key, len(wrong), takes, wrong[0])
	}
	if admitted < limit || admitted > limit+refilled {
		p.t.Errorf("key %s over %d nodes: %d of %d takes admitted, want %d", key, len(nodes), admitted, takes, limit)
	}
}

// share is the i-th part of n over parts.
func share(n, parts, i int) int { return n*(i+1)/parts - n*i/parts }

func (p *project) take(n node, key string) (allowed bool, problem string) {
	var d struct {
		Allowed, Degraded bool
		Source            string
	}
	status, err := p.ask("POST", n.url+"/v1/take", `{"key":"`+key+`","limit":"100/h"}`, &d)
	switch {
	case err != nil:
		return false, fmt.Sprintf("node %s: %v", n.id, err)
	case d.Degraded || status != http.StatusOK && status != http.StatusTooManyRequests || d.Allowed != (status == http.StatusOK):
		return false, fmt.Sprintf("node %s: status %d, %+v", n.id, status, d)
	}
	return d.Allowed, ""
}

// goodbye stops a node as an engine does and expects it to leave by itself.
func (p *project) goodbye(n node) {
	p.t.Helper()
	began := time.Now()
	p.run("docker", "stop", "--time", "45", n.id)
	code := p.run("docker", "inspect", "--format", "{{.State.ExitCode}}", n.id)
	p.t.Logf("node %s left after %v", n.id, time.Since(began).Round(100*time.Millisecond))
	if strings.TrimSpace(code) != "0" {
		p.t.Errorf("node %s exited with %s on SIGTERM, want 0", n.id, code)
	}
}
