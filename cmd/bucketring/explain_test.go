package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
)

const shopPolicy = `
apiVersion: limits/v1
namespace: shop
limits:
  - {name: calls, key: [user], limit: 10, per: 1h}
  - {name: writes, key: [user], limit: 3, per: 1h, when: {method: [POST]}}
`

// explained is what one node says of a caller.
func explained(t *testing.T, n *testNode, query string) (c callerAnswer) {
	t.Helper()
	status, text := n.web.get(t, "/v1/explain?"+query)
	if err := json.Unmarshal([]byte(text), &c); status != 200 || err != nil {
		t.Fatalf("explain %s at %s = %d %s, %v", query, n.name, status, text, err)
	}
	return c
}

// All nodes name the owner who then decides, and the same successor.
func TestExplainNamesWhoDecides(t *testing.T) {
	dir := t.TempDir()
	writePolicy(t, dir, "shop.yaml", shopPolicy)
	nodes, _ := startCluster(t, 3, append([]string{"--policies", dir}, exactly...)...)
	owners := map[string]bool{}
	for i := range 20 {
		user := fmt.Sprint("u", i)
		query := "namespace=shop&method=POST&user=" + user
		var first placeAnswer
		for _, n := range nodes {
			c := explained(t, n, query)
			if len(c.Places) != 1 || !slices.Equal(c.Places[0].Limits, []string{"calls", "writes"}) || c.Places[0].Partition == nil {
				t.Fatalf("%s explains %s by %+v, want one place of both limits", n.name, user, c.Places)
			}
			p := c.Places[0]
			if first.Partition == nil {
				first = p
			}
			if *p.Partition != *first.Partition || p.Owner != first.Owner || p.Replica != first.Replica || p.Owner == p.Replica || p.Replica == "" {
				t.Errorf("%s says of %s that it is in partition %d of %s, then %s, want as others: %d of %s, then %s",
					n.name, user, *p.Partition, p.Owner, p.Replica, *first.Partition, first.Owner, first.Replica)
			}
		}
		a := nodes[i%3].ask(t, "/v1/take", caller("shop", "user", user, "method", "POST"))
		var took struct{ Owner string }
		if err := json.Unmarshal([]byte(a.text), &took); err != nil || took.Owner != first.Owner {
			t.Errorf("%s was decided by %q, %v, want %s as explained", user, took.Owner, err, first.Owner)
		}
		for _, l := range explained(t, nodes[(i+1)%3], query).Decision.Limits {
			if want := map[string]string{"calls": "9", "writes": "2"}[l.Name]; l.Remaining == nil || l.Remaining.String() != want {
				t.Errorf("%s has %v left of %s, want %s: explaining costs nothing", user, l.Remaining, l.Name, want)
			}
		}
		owners[took.Owner] = true
	}
	if len(owners) != 3 {
		t.Errorf("20 users are decided by %v, want all three nodes", owners)
	}
}
