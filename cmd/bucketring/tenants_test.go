package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/access"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// lending is a policy that hands out ids of both kinds.
const lending = `apiVersion: limits/v1
namespace: NAME
identify: {user: [{header: X-User}]}
limits:
  - {name: jobs, kind: concurrency, key: [user], limit: 1000, lease: {ttl: 1h}}
  - {name: minutes, when: {attr: {estimate: present}}, key: [user], limit: 1000, per: 1d, algorithm: fixed_window, precision: 3, cost: {from: report, reserve: attr, attr: estimate}}
`

// A tenant asks nodes with its token.
type tenant struct {
	t     *testing.T
	token string
}

// send makes a call and fails unless it is answered with the status.
func (c tenant) send(n *testNode, path, body string, want int) []byte {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, n.web.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-Bucketring-Token": c.token, "X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/", "X-User": "u",
	} {
		req.Header.Set(name, value)
	}
	resp, err := n.web.client.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		c.t.Fatalf("POST %s %s = %d %s, %v, want %d", path, body, resp.StatusCode, text, err, want)
	}
	if lease := resp.Header.Get("X-Bucketring-Leases"); lease != "" {
		return fmt.Appendf(nil, `{"leases":[%q]}`, lease)
	}
	return text
}

// leaseIn reads the one lease of a decision.
func (c tenant) leaseIn(text []byte) string {
	c.t.Helper()
	var d struct{ Leases []string }
	if err := json.Unmarshal(text, &d); err != nil || len(d.Leases) != 1 {
		c.t.Fatalf("%s has the leases %v, %v, want one", text, d.Leases, err)
	}
	return d.Leases[0]
}

// reaches reports whether a call about a lease finds it.
func (c tenant) reaches(n *testNode, verb, lease string) bool {
	c.t.Helper()
	return bytes.Contains(c.send(n, "/v1/"+verb, fmt.Sprintf(`{"leases":[%q]}`, lease), 200), []byte(`"ok":true`))
}

func (c tenant) context() context.Context {
	return metadata.AppendToOutgoingContext(c.t.Context(), "authorization", "Bearer "+c.token)
}

const (
	leaseOfA   = `{"namespace":"a","attributes":{"user":"u"}}`
	reservesAs = `{"namespace":"a","attributes":{"user":"u","estimate":"2"}}`
)

// takes are the ways to a lease of namespace a. The key belongs to one node of two, so that
// on each way it is decided at once, or elsewhere.
var takes = map[string]func(tenant, *testNode) string{
	"take": func(c tenant, n *testNode) string { return c.leaseIn(c.send(n, "/v1/take", leaseOfA, 200)) },
	"proxy": func(c tenant, n *testNode) string {
		return c.leaseIn(c.send(n, "/v1/forward-auth?namespace=a", "", 200))
	},
	"batch": func(c tenant, n *testNode) string {
		var m struct{ Decisions []json.RawMessage }
		if err := json.Unmarshal(c.send(n, "/v1/take/batch", `{"requests":[`+leaseOfA+`]}`, 200), &m); err != nil {
			c.t.Fatal(err)
		}
		return c.leaseIn(m.Decisions[0])
	},
	"grpc": func(c tenant, n *testNode) string {
		d, err := n.limiterAt(c.t, "grpc").Take(c.context(), &limitpb.TakeRequest{Namespace: "a", Attributes: map[string]string{"user": "u"}})
		if err != nil || len(d.GetLeases()) != 1 {
			c.t.Fatalf("Take = %v, %v, want a lease", d, err)
		}
		return d.GetLeases()[0]
	},
	"stream": func(c tenant, n *testNode) string {
		stream, err := n.limiterAt(c.t, "grpc").TakeStream(c.context())
		if err != nil {
			c.t.Fatal(err)
		}
		_ = stream.Send(&limitpb.StreamRequest{Id: 1, Request: &limitpb.TakeRequest{Namespace: "a", Attributes: map[string]string{"user": "u"}}}) // Recv says why it fails
		m, err := stream.Recv()
		if err != nil || len(m.GetAnswer().GetDecision().GetLeases()) != 1 {
			c.t.Fatalf("TakeStream = %v, %v, want a lease", m, err)
		}
		return m.GetAnswer().GetDecision().GetLeases()[0]
	},
}

// TestOtherTenantsLease: an id of one tenant is unknown to another, whichever way it was
// told, and at each node; its own token finds it at each.
func TestOtherTenantsLease(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	if err := os.WriteFile(path, []byte("anonymous: [read] # as startCluster does\ntokens: []\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	of := func(id string, namespaces ...string) tenant {
		return tenant{t, addToken(t, path, access.Grant{ID: id, Scopes: bucketring.ScopeTake, Namespaces: namespaces})}
	}
	own, other, all := of("a", "a"), of("b", "b"), of("all")
	dir := filesIn(t, map[string]string{"a.yaml": strings.Replace(lending, "NAME", "a", 1), "b.yaml": strings.Replace(lending, "NAME", "b", 1)})
	nodes, _ := startCluster(t, 2, "--tokens-file", path, "--policies", dir, "--forward-budget", "5s")
	for way, take := range takes {
		for i, n := range nodes {
			lease, elsewhere := take(own, n), nodes[1-i]
			for _, verb := range []string{"renew", "release"} {
				if other.reaches(n, verb, lease) || other.reaches(elsewhere, verb, lease) || all.reaches(n, verb, lease) {
					t.Errorf("%s at %s: %s of another tenant reaches the lease", way, n.name, verb)
				}
				if !own.reaches(elsewhere, verb, lease) {
					t.Errorf("%s at %s: %s of its own does not reach the lease", way, n.name, verb)
				}
			}
		}
	}
	var d struct{ Reservation string }
	if err := json.Unmarshal(own.send(nodes[0], "/v1/take", reservesAs, 200), &d); err != nil || d.Reservation == "" {
		t.Fatalf("the reservation is %q, %v", d.Reservation, err)
	}
	settle := fmt.Sprintf(`{"reservation":%q,"cost":1}`, d.Reservation)
	other.send(nodes[0], "/v1/settle", settle, 404)
	_, err := nodes[1].limiterAt(t, "grpc").Settle(other.context(), &limitpb.SettleRequest{Reservation: d.Reservation})
	if status.Code(err) != codes.NotFound {
		t.Errorf("Settle of another tenant: %v, want NOT_FOUND", err)
	}
	own.send(nodes[1], "/v1/settle", settle, 200)
}
