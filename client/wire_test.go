package client_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

const shop = `apiVersion: limits/v1
namespace: shop
access:
  - {name: no-robots, when: {attr: {user: robot}}, deny: {status: 403, body: problem}}
limits:
  - {name: minute, key: [user], limit: 1, per: 1h, algorithm: fixed_window}
  - {name: size, kind: cap, when: {attr: {size: present}}, cost: {from: attr, attr: size}, limit: 10}
`

// TestDenialsOverTheWire read like those of a node in the process; and Wait does not wait
// for what an access rule refuses.
func TestDenialsOverTheWire(t *testing.T) {
	p, err := policy.Parse("shop.yaml", []byte(shop), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.New(node.Config{Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	n.SetPolicies(new(policy.Set).WithPolicy(p))
	w := newWorld(t)
	w.start("a", n.Take)
	c := w.client()
	for _, tt := range []struct {
		attributes   map[string]string
		detail, wait string
	}{
		{map[string]string{"user": "robot"}, "Access rule no-robots refuses this call.", "client: waiting cannot help: access rule no-robots refuses this call"},
		{map[string]string{"user": "a", "size": "11"}, "Limit size allows 10 requests; waiting does not help.", "client: waiting cannot help: size denies this call for ever"},
	} {
		req := bucketring.Request{Namespace: "shop", Attributes: tt.attributes, Cost: 1}
		d, err := client.Wait(t.Context(), c, req)
		if !errors.Is(err, client.ErrNever) || err.Error() != tt.wait {
			t.Errorf("Wait(%v) = %v, want %s", tt.attributes, err, tt.wait)
		}
		if d.Response == nil || !slices.Equal(d.Response.Violated, []string{d.Name}) {
			t.Errorf("Take(%v) = %+v, want it refused by %q", tt.attributes, d.Response, d.Name)
		}
		if got := client.RefusalOf(nil, &d); got.Detail != tt.detail || got.RetryAfter != bucketring.Never {
			t.Errorf("RefusalOf = %+v, want %s", got, tt.detail)
		}
		if _, err := client.Wait(t.Context(), n, req); !errors.Is(err, client.ErrNever) {
			t.Errorf("Wait(%v) for a node in the process = %v, want ErrNever", tt.attributes, err)
		}
	}
	spent := bucketring.Request{Namespace: "shop", Attributes: map[string]string{"user": "b"}, Cost: 1}
	for range 2 {
		if _, err := c.Take(t.Context(), spent); err != nil {
			t.Fatal(err)
		}
	}
	far, err1 := c.Take(t.Context(), spent)
	near, err2 := n.Take(t.Context(), spent)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(client.RefusalOf(nil, &near), client.RefusalOf(nil, &far), cmpopts.IgnoreFields(client.Refusal{}, "RetryAfter", "Detail")); diff != "" {
		t.Errorf("refusal over the wire (-near +far):\n%s", diff)
	}
}
