package httpapi

import (
	"context"
	"net/http"

	"github.com/bucketring/bucketring"
)

// A Forgetter has the cluster miss a member no longer. Its methods are safe for concurrent
// use.
type Forgetter interface {
	// Forget takes a member that vanished for one that left. It returns once all nodes know,
	// or with a line of late for each that does not. The error is ErrInvalid if the member
	// cannot be forgotten.
	Forget(ctx context.Context, name string) (late []string, err error)
}

// forget serves POST /v1/admin/members/{name}/forget.
func (a *admin) forget(w http.ResponseWriter, r *http.Request) {
	err := noQuery(r)
	if err == nil && r.ContentLength != 0 {
		err = bucketring.Invalidf("the path names whom to forget: leave the body out")
	}
	switch {
	case err != nil:
		a.fail(w, r, err)
		return
	case a.forgetter == nil:
		a.fail(w, r, problemf(http.StatusNotImplemented, "this node is in no cluster"))
		return
	}
	name := r.PathValue("name")
	late, err := a.forgetter.Forget(r.Context(), name)
	if err != nil {
		a.refuse(w, r, err, "the member was not forgotten, see errors")
		return
	}
	if len(late) > 0 {
		p := unavailable("this node has forgotten the member, but not all others have, see errors: try again")
		p.errors = late
		a.fail(w, r, p)
		return
	}
	writeJSON(w, http.StatusOK, append(appendString([]byte(`{"forgotten":`), name), '}', '\n'))
}
