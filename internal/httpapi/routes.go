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
		{"POST", "/v1/take", byRequest, h.post(bucketring.VerbTake)},
		{"GET", "/v1/take", byRequest, h.sameSite(h.get(bucketring.VerbTake))},
		{"POST", "/v1/take/batch", byRequest, h.batch},
		{"POST", "/v1/peek", byRequest, h.post(bucketring.VerbPeek)},
		{"GET", "/v1/peek", byRequest, h.sameSite(h.get(bucketring.VerbPeek))},
		{"POST", "/v1/refund", byRequest, h.post(bucketring.VerbRefund)},
		{"POST", "/v1/reset", byRequest, h.post(bucketring.VerbReset)},
		{"POST", "/v1/renew", byRequest, h.leases(bucketring.VerbRenew)},
		{"POST", "/v1/release", byRequest, h.leases(bucketring.VerbRelease)},
		{"POST", "/v1/settle", byRequest, h.body(decodeSettle)},
		{"POST", "/v1/level", byRequest, h.body(decodeLevel)},
		{"GET", "/v1/usage", byRequest, h.sameSite(h.usage)},
		{"", forwardAuthPath, byRequest, h.forwardAuth},
		{"GET", "/v1/members", bucketring.ScopeRead, h.members},
		{"GET", "/v1/ring", bucketring.ScopeRead, h.ring},
		{"GET", "/v1/explain", bucketring.ScopeRead, h.explain},
		{"GET", "/openapi.yaml", nothing, h.openAPI},
	}
}

// routes lists the calls of the admin listener.
func (a *admin) routes() []route {
	return []route{
		{"POST", "/v1/admin/reload", bucketring.ScopeAdmin, a.reload},
		{"POST", "/v1/admin/drain", bucketring.ScopeAdmin, a.drain(Drainer.Drain)},
		{"GET", "/v1/admin/drain", bucketring.ScopeAdmin, a.drain(nil)},
		{"POST", "/v1/admin/leave", bucketring.ScopeAdmin, a.drain(Drainer.Leave)},
		{"POST", "/v1/admin/members/{name}/forget", bucketring.ScopeAdmin, a.forget},
		{"GET", "/v1/admin/top", bucketring.ScopeAdmin, a.top},
		{"GET", "/v1/admin/policies", bucketring.ScopeAdmin, a.policies},
		{"PUT", "/v1/admin/policies/{namespace}", bucketring.ScopeAdmin, a.put(a.admin.PutPolicy)},
		{"PUT", "/v1/admin/overrides/{namespace}", bucketring.ScopeAdmin, a.put(a.admin.PutOverrides)},
		{"PUT", "/v1/admin/tables/{namespace}/{table}", bucketring.ScopeAdmin, a.table(true)},
		{"PATCH", "/v1/admin/tables/{namespace}/{table}", bucketring.ScopeAdmin, a.table(false)},
	}
}
