// grant.go says what the holder of a token may do.

package access

import (
	"crypto/cipher"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
)

// Anonymous is the ID of what callers without a token may do: its Sum is that of nothing.
const Anonymous = "anonymous"

// noToken is what a token of no bytes comes to.
func noToken() [sha256.Size]byte { return sha256.Sum256(nil) }

// A Grant is what a token is good for.
type Grant struct {
	// ID names the token in logs and errors.
	ID string
	// Sum is the SHA-256 of the token.
	Sum [sha256.Size]byte
	// Scopes are what its holder may do; at least one.
	Scopes bucketring.Scope
	// Namespaces are those that its holder may name. Nil means all, and calls that name
	// none.
	Namespaces []string
	// Expires is when it ends; zero for never.
	Expires time.Time

	ids cipher.Block // hides ids from others; nil for a token of all namespaces
}

// refusal is an error of a Guard, whose text is for people.
type refusal struct {
	text string
	is   error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.is }

func stranger(text string) error { return &refusal{text, bucketring.ErrUnauthenticated} }

func forbidden(format string, args ...any) error {
	return &refusal{fmt.Sprintf(format, args...), bucketring.ErrForbidden}
}

// Allows returns nil if the holder has one of these scopes in a namespace, which is empty
// for calls without one. now matters to tokens that end. The error is ErrUnauthenticated
// or ErrForbidden.
func (g *Grant) Allows(of bucketring.Scope, namespace string, now time.Time) error {
	switch {
	case g.over(now):
		return errExpired
	case g.Scopes&of == 0:
		return forbidden("token %s may not do this: it needs the scope %v, and has %s", g.ID, of, strings.Join(g.Scopes.Names(), ", "))
	case g.Namespaces == nil || slices.Contains(g.Namespaces, namespace):
		return nil
	case namespace == "":
		return forbidden("token %s is for the namespaces %s alone, and this call names none: counters without a namespace belong to everybody", g.ID, strings.Join(g.Namespaces, ", "))
	}
	return forbidden("token %s is not for this namespace, but for %s", g.ID, strings.Join(g.Namespaces, ", "))
}

func (g *Grant) over(now time.Time) bool { return !g.Expires.IsZero() && !now.Before(g.Expires) }
