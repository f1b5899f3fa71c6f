// doors_test.go asks nodes as callers do, over HTTP and gRPC.

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/transport/limitpb"
)

func newHTTP(t *testing.T) *http.Client {
	c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}, Timeout: slack}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// A webDoor is the HTTP door of a node as a bucketring.Limiter.
type webDoor struct {
	base   string
	client *http.Client
}

var _ bucketring.Limiter = (*webDoor)(nil)

// Take implements bucketring.Limiter for one limit.
func (w *webDoor) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	body, err := json.Marshal(map[string]any{"key": req.Key, "limit": req.Limits[0].String(), "cost": req.Cost})
	if err != nil {
		return bucketring.Decision{}, err
	}
	status, text, err := w.send(ctx, http.MethodPost, "/v1/take", body)
	if err != nil {
		return bucketring.Decision{}, err
	}
	if status != http.StatusOK && status != http.StatusTooManyRequests {
		return bucketring.Decision{}, fmt.Errorf("POST /v1/take = %d: %s", status, text)
	}
	var a webAnswer
	if err := json.Unmarshal(text, &a); err != nil {
		return bucketring.Decision{}, err
	}
	if a.Allowed != (status == http.StatusOK) {
		return bucketring.Decision{}, fmt.Errorf("POST /v1/take = %d with allowed %v", status, a.Allowed)
	}
	return a.decision()
}

// takeBatch implements batchDoor.
func (w *webDoor) takeBatch(ctx context.Context, keys []string, limit string) ([]bucketring.Decision, error) {
	type one struct {
		Key   string `json:"key"`
		Limit string `json:"limit"`
	}
	var requests []one
	for _, key := range keys {
		requests = append(requests, one{key, limit})
	}
	body, err := json.Marshal(map[string]any{"requests": requests})
	if err != nil {
		return nil, err
	}
	status, text, err := w.send(ctx, http.MethodPost, "/v1/take/batch", body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("POST /v1/take/batch = %d: %s", status, text)
	}
	if err != nil {
		return nil, err
	}
	var answer struct{ Decisions []webAnswer }
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	all := make([]bucketring.Decision, len(answer.Decisions))
	for i := range all {
		if all[i], err = answer.Decisions[i].decision(); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// A webAnswer is what these tests read of a decision.
type webAnswer struct {
	Allowed, Degraded   bool
	Node, Owner, Source string
}

// decision fails if the answer is none, such as the error of a batch's item.
func (a *webAnswer) decision() (bucketring.Decision, error) {
	source := slices.IndexFunc(bucketring.Sources(), func(s bucketring.Source) bool { return s.String() == a.Source })
	if source < 0 {
		return bucketring.Decision{}, fmt.Errorf("answer has the unknown source %q", a.Source)
	}
	return bucketring.Decision{
		Allowed: a.Allowed, Degraded: a.Degraded, Node: a.Node, Owner: a.Owner, Source: bucketring.Source(source),
	}, nil
}

func (w *webDoor) send(ctx context.Context, method, path string, body []byte) (status int, text []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// get asks for a page and fails the test if there is no answer.
func (w *webDoor) get(t *testing.T, path string) (status int, text string) {
	t.Helper()
	status, body, err := w.send(t.Context(), http.MethodGet, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return status, string(body)
}

// page reads a JSON page.
func (w *webDoor) page(path string, into any) error {
	status, text, err := w.send(context.Background(), http.MethodGet, path, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s = %d: %s", path, status, text)
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// admin is the operators' door of a node.
func (n *testNode) admin() *webDoor {
	return &webDoor{base: "http://" + n.at("admin"), client: n.web.client}
}

// grpcDoor is the gRPC door of a node.
func (n *testNode) grpcDoor(t *testing.T) bucketring.Limiter {
	t.Helper()
	c, err := client.Dial(t.Context(), client.Config{Addrs: []string{n.at("grpc")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// bothDoors lists both doors of all nodes.
func bothDoors(t *testing.T, nodes ...*testNode) (doors []bucketring.Limiter) {
	for _, n := range nodes {
		doors = append(doors, n.web, n.grpcDoor(t))
	}
	return doors
}

// A batchDoor takes one token of each key in one call.
type batchDoor interface {
	takeBatch(ctx context.Context, keys []string, limit string) ([]bucketring.Decision, error)
}

// A grpcBatch is the gRPC door of a node, for batches.
type grpcBatch struct{ limitpb.LimiterClient }

func (n *testNode) grpcBatch(t *testing.T) grpcBatch {
	t.Helper()
	return grpcBatch{limitpb.NewLimiterClient(dialGRPC(t, n.at("grpc")))}
}

func dialGRPC(t *testing.T, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func (g grpcBatch) takeBatch(ctx context.Context, keys []string, limit string) ([]bucketring.Decision, error) {
	batch := &limitpb.TakeBatchRequest{}
	for _, key := range keys {
		batch.Requests = append(batch.Requests, &limitpb.TakeRequest{Key: key, Limit: limit})
	}
	answer, err := g.TakeBatch(ctx, batch)
	if err != nil {
		return nil, err
	}
	var all []bucketring.Decision
	for _, one := range answer.GetAnswers() {
		d := one.GetDecision()
		a := webAnswer{d.GetAllowed(), d.GetDegraded(), d.GetNode(), d.GetOwner(), d.GetSource()}
		decision, err := a.decision()
		if err != nil {
			return nil, fmt.Errorf("%w: %v", err, one.GetError())
		}
		all = append(all, decision)
	}
	return all, nil
}

func takeOne(key, limit string) bucketring.Request {
	return bucketring.Request{Key: key, Limits: bucketring.MustParse(limit), Cost: 1}
}

// ownerOf is the node that decides a key, as n sees it.
func ownerOf(t *testing.T, n *testNode, key string) string {
	t.Helper()
	var e struct{ Owner string }
	if err := n.web.page("/v1/explain?key="+url.QueryEscape(key), &e); err != nil {
		t.Fatal(err)
	}
	return e.Owner
}

// A clusterView is what a node shows of its cluster.
type clusterView struct {
	states      map[string]string // of the members, by name
	ring        string            // names of those that own keys, sorted
	fingerprint string
}

func viewOf(w *webDoor) (clusterView, error) {
	var m struct {
		Members []struct{ Name, State string }
	}
	var r struct {
		Fingerprint string
		Members     []struct {
			Name  string
			Owned int
		}
	}
	if err := w.page("/v1/members", &m); err != nil {
		return clusterView{}, err
	}
	if err := w.page("/v1/ring", &r); err != nil {
		return clusterView{}, err
	}
	v := clusterView{states: map[string]string{}, fingerprint: r.Fingerprint}
	for _, one := range m.Members {
		v.states[one.Name] = one.State
	}
	var owners []string
	for _, one := range r.Members {
		if one.Owned > 0 {
			owners = append(owners, one.Name)
		}
	}
	slices.Sort(owners)
	v.ring = strings.Join(owners, " ")
	return v, nil
}

// await asks until done returns nil, and returns how long that took.
func await(t *testing.T, within time.Duration, done func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := done()
		took := time.Since(began)
		if err == nil {
			return took
		}
		if took > within {
			t.Fatalf("not after %v: %v", within, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awaitOneRing waits until each node sees exactly these as active and all have
// the same ring of them.
func awaitOneRing(t *testing.T, within time.Duration, nodes ...*testNode) time.Duration {
	t.Helper()
	return await(t, within, func() error { return oneRing(nodes) })
}

func oneRing(nodes []*testNode) error {
	var names []string
	for _, n := range nodes {
		names = append(names, n.name)
	}
	slices.Sort(names)
	fingerprint := ""
	for _, n := range nodes {
		v, err := viewOf(n.web)
		if err != nil {
			return err
		}
		if want := strings.Join(names, " "); v.ring != want {
			return fmt.Errorf("ring of %s = %q, want %q", n.name, v.ring, want)
		}
		for _, name := range names {
			if v.states[name] != "active" {
				return fmt.Errorf("%s sees %s as %q, want active", n.name, name, v.states[name])
			}
		}
		if fingerprint != "" && v.fingerprint != fingerprint {
			return fmt.Errorf("fingerprint of %s = %s, want %s as on %s", n.name, v.fingerprint, fingerprint, nodes[0].name)
		}
		fingerprint = v.fingerprint
	}
	return nil
}
