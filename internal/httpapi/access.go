// access.go asks a Guard who calls, and whether they may.

package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/bucketring/bucketring"
)

// tokenField is where a caller may show its token, whatever Authorization says.
const tokenField = "X-Bucketring-Token"

// What a route needs in place of scopes.
const (
	// byRequest is for calls of which the request says what they need: their handlers ask.
	byRequest bucketring.Scope = 0
	// nothing is for what tells nothing of the cluster or of callers.
	nothing bucketring.Scope = 1 << 7
)

// Token returns the token that a call shows, in X-Bucketring-Token or as "Authorization:
// Bearer"; empty if it shows none, or several. What a proxy passes on from its own client
// to forward-auth has that client's Authorization, which is not meant for us.
func Token(r *http.Request) string {
	if own := r.Header[tokenField]; len(own) == 1 {
		return own[0]
	} else if len(own) > 1 || r.URL.Path == forwardAuthPath {
		return ""
	}
	all := r.Header["Authorization"]
	if len(all) != 1 {
		return ""
	}
	scheme, token, _ := strings.Cut(all[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// admit returns the call with a context that stands for its caller.
func admit(guard bucketring.Guard, r *http.Request) (*http.Request, error) {
	ctx, err := guard.Admit(r.Context(), Token(r))
	switch {
	case err == nil:
		return r.WithContext(ctx), nil
	case r.URL.Path == forwardAuthPath && r.Header[tokenField] == nil:
		return r, errProxyToken
	}
	return r, err
}

// guarded has a route served for those who may.
func (f *face) guarded(to route) http.HandlerFunc {
	if f.guard == nil || to.needs == nothing {
		return to.serve
	}
	return func(w http.ResponseWriter, r *http.Request) {
		r, err := admit(f.guard, r)
		if err == nil && to.needs != byRequest {
			err = f.guard.May(r.Context(), to.needs, "")
		}
		if err != nil {
			f.fail(w, r, err)
			return
		}
		to.serve(w, r)
	}
}

// may reports whether the caller may make a request. Ids in it become those that the Limiter
// knows.
func (h *Handler) may(ctx context.Context, req *bucketring.Request) error {
	return req.Permit(ctx, h.guard)
}

// hide makes ids in a decision those that the caller may know.
func (h *Handler) hide(ctx context.Context, d *bucketring.Decision) {
	if h.guard != nil {
		d.Leases, d.Reservation = h.guard.Hide(ctx, d.Leases, d.Reservation)
	}
}

// Guarded returns next for callers who have one of the scopes: for what cmd serves beside
// the calls of this package. With a nil guard that is everybody.
func Guarded(guard bucketring.Guard, needs bucketring.Scope, next http.Handler) http.Handler {
	if guard == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, err := admit(guard, r)
		if err == nil {
			err = guard.May(r.Context(), needs, "")
		}
		if err != nil {
			w.Header()["Cache-Control"] = noStore
			writeProblem(w, accessProblem(err))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// accessProblem is the problem of an error of a Guard; nil for any other.
func accessProblem(err error) *problem {
	switch {
	case errors.Is(err, bucketring.ErrUnauthenticated):
		return problemf(http.StatusUnauthorized, "%s", err)
	case errors.Is(err, bucketring.ErrForbidden):
		return problemf(http.StatusForbidden, "%s", err)
	}
	return nil
}

// errProxyToken is for a proxy whose client has perhaps shown a token, but not it.
var errProxyToken = problemf(http.StatusUnauthorized,
	"the proxy has shown no token: let it send its own in the header %s, in place of any that its client sends", tokenField)
