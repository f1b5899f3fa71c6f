// access.go asks a Guard whether the caller may.

package envoyrls

import (
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
)

// hidden are the ids that the caller is told in place of these.
func (c *call) hidden(leases []string) []string {
	if c.cfg.Guard != nil {
		leases, _ = c.cfg.Guard.Hide(c.ctx, leases, "")
	}
	return leases
}

// may returns an error if the caller may not make the call. A domain is a namespace, be it
// a policy's or one in the dialect. Hits that are given back are more than a take, and no
// hits at all only look.
func (c *call) may() error {
	if c.cfg.Guard == nil {
		return nil
	}
	back, takes := false, false
	for _, h := range c.hits {
		back = back || h.back
		takes = takes || !h.back && h.n > 0
	}
	var err error
	if back {
		err = c.cfg.Guard.May(c.ctx, bucketring.ScopeAdjust, c.req.GetDomain())
	}
	switch {
	case err != nil:
	case takes:
		err = c.cfg.Guard.May(c.ctx, bucketring.ScopeTake, c.req.GetDomain())
	case !back:
		err = c.cfg.Guard.May(c.ctx, bucketring.ScopeTake|bucketring.ScopeRead, c.req.GetDomain())
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bucketring.ErrUnauthenticated):
		return status.Error(codes.Unauthenticated, err.Error())
	}
	return status.Error(codes.PermissionDenied, err.Error())
}
