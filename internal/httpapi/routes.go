// routes.go has the tables of calls. openapi.yaml describes each of them.

package httpapi

import (
	"github.com/bucketring/bucketring"
)

// forwardAuthPath is the one path that takes every method, from every site.
const forwardAuthPath = "/v1/forward-auth"

// routes lists the calls of the client listener.
func (h *Handler) routes() []route {
	return []route{
		{"POST", "/v1/take", h.post(bucketring.VerbTake)},
		{"GET", "/v1/take", h.sameSite(h.get(bucketring.VerbTake))},
		{"POST", "/v1/take/batch", h.batch},
		{"POST", "/v1/peek", h.post(bucketring.VerbPeek)},
		{"GET", "/v1/peek", h.sameSite(h.get(bucketring.VerbPeek))},
		{"POST", "/v1/refund", h.post(bucketring.VerbRefund)},
		{"POST", "/v1/reset", h.post(bucketring.VerbReset)},
		{"POST", "/v1/renew", h.leases(bucketring.VerbRenew)},
		{"POST", "/v1/release", h.leases(bucketring.VerbRelease)},
		{"POST", "/v1/settle", h.body(decodeSettle)},
		{"POST", "/v1/level", h.body(decodeLevel)},
		{"GET", "/v1/usage", h.sameSite(h.usage)},
		{"", forwardAuthPath, h.forwardAuth},
		{"GET", "/v1/members", h.members},
		{"GET", "/v1/ring", h.ring},
		{"GET", "/v1/explain", h.explain},
		{"GET", "/openapi.yaml", h.openAPI},
	}
}

// routes lists the calls of the admin listener.
func (a *admin) routes() []route {
	return []route{
		{"POST", "/v1/admin/reload", a.reload},
		{"POST", "/v1/admin/drain", a.drain(Drainer.Drain)},
		{"GET", "/v1/admin/drain", a.drain(nil)},
		{"POST", "/v1/admin/leave", a.drain(Drainer.Leave)},
		{"GET", "/v1/admin/policies", a.policies},
		{"PUT", "/v1/admin/policies/{namespace}", a.put(a.admin.PutPolicy)},
		{"PUT", "/v1/admin/overrides/{namespace}", a.put(a.admin.PutOverrides)},
		{"PUT", "/v1/admin/tables/{namespace}/{table}", a.table(true)},
		{"PATCH", "/v1/admin/tables/{namespace}/{table}", a.table(false)},
	}
}
