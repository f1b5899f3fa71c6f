// Package policy says which limits a request has. So far that is what the
// request brings along: limits as text, "inline". Policies in files, which name
// limits for a whole namespace, will be matched here too.
//
// A Set is immutable and may be shared freely. The package reads no clock and
// starts no goroutine.
package policy

import (
	"fmt"

	"github.com/bucketring/bucketring"
)

// A Set is all policies of a node. The zero Set has none and serves inline
// limits only.
type Set struct{}

// Resolve checks req and makes sure that it names its limits. The error is
// ErrInvalid for a bad request and ErrNoPolicy for an unknown namespace.
func (s *Set) Resolve(req *bucketring.Request) error {
	if req.Namespace != "" {
		if req.Key != "" || len(req.Limits) > 0 {
			return bucketring.Invalidf("give either namespace or key and limit, not both")
		}
		return fmt.Errorf("%w: there is no namespace %q, and policies from files are not supported yet: give key and limit",
			bucketring.ErrNoPolicy, shortened(req.Namespace))
	}
	if len(req.Attributes) > 0 {
		return bucketring.Invalidf("attributes need a namespace: give key and limit instead")
	}
	return req.Validate()
}

// Placement returns what decides where a resolved request is counted: all
// limits of one call with inline limits live together.
func (s *Set) Placement(req *bucketring.Request) (namespace, value string) {
	return req.Namespace, req.Key
}

// shortened keeps error texts readable whatever a caller sends.
func shortened(name string) string {
	const most = 64
	if len(name) > most {
		return name[:most] + "..."
	}
	return name
}
