// access.go asks a Guard who calls, and whether they may.

package gubernatorapi

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

// An Access is how a Server knows its callers.
type Access struct {
	// Guard says what callers may do; the gRPC server has admitted those that come that
	// way. Nil lets everybody in.
	Guard bucketring.Guard
	// Token finds the token of a call over HTTP. It is required beside a Guard.
	Token func(*http.Request) string
}

// needs are the scopes of which one allows an item. What gives hits back is more than a
// take. No hits at all are not only a look: another limit, duration or algorithm changes the
// counter, as that of Gubernator does.
func needs(item *pb.RateLimitReq) bucketring.Scope {
	switch {
	case item.GetHits() < 0, has(item, pb.Behavior_RESET_REMAINING):
		return bucketring.ScopeAdjust
	}
	return bucketring.ScopeTake
}

// mayNot returns why the caller may not have an item counted, "" if it may. Names of items
// are no namespaces: whoever sends the same shares the counter.
func (s *Server) mayNot(ctx context.Context, item *pb.RateLimitReq) string {
	if s.cfg.Access.Guard == nil {
		return ""
	}
	if err := s.cfg.Access.Guard.May(ctx, needs(item), ""); err != nil {
		return err.Error()
	}
	return ""
}

// mayLook returns an error for callers who may not see which members there are.
func (s *Server) mayLook(ctx context.Context) error {
	if s.cfg.Access.Guard == nil {
		return nil
	}
	return accessStatus(s.cfg.Access.Guard.May(ctx, bucketring.ScopeRead, ""))
}

// admit returns a context that stands for the caller of a path. LiveCheck is for everybody.
func (s *Server) admit(ctx context.Context, w http.ResponseWriter, r *http.Request) (context.Context, error) {
	if s.cfg.Access.Guard == nil || r.URL.Path == liveCheckPath {
		return ctx, nil
	}
	ctx, err := s.cfg.Access.Guard.Admit(ctx, s.cfg.Access.Token(r))
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	return ctx, accessStatus(err)
}

// accessStatus makes the gRPC error of a Guard's.
func accessStatus(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bucketring.ErrUnauthenticated):
		return status.Error(codes.Unauthenticated, err.Error())
	}
	return status.Error(codes.PermissionDenied, err.Error())
}
