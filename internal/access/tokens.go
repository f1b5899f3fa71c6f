package access

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bucketring/bucketring"
)

// Tokens are those of a file. Make them with Open.
type Tokens struct {
	path    string
	secret  []byte // of which keys for ids are derived
	current atomic.Pointer[grants]

	reading sync.Mutex // held while the file is read

	strangers, forbidden atomic.Int64
}

var _ bucketring.Guard = (*Tokens)(nil)

// grants are what a file said when it was read. They do not change.
type grants struct {
	all []*Grant
	of  map[[sha256.Size]byte]*Grant
	raw [sha256.Size]byte // digest of the file
}

// Open reads a tokens file, which only its owner and group may be able to write. The error
// has a line for each thing that is wrong. secret, of 16 bytes or more, is the same on all
// nodes: with it they hide ids alike. Without one they are hidden until this process ends,
// which is enough for a node that is alone.
func Open(path string, secret []byte) (*Tokens, error) {
	t := &Tokens{path: path, secret: secret}
	if secret == nil {
		t.secret = make([]byte, 32)
		_, _ = rand.Read(t.secret) // never fails
	}
	_, err := t.Reload()
	return t, err
}

// Reload reads the file again and reports whether it said something new. After an error
// what was there before is still in force.
func (t *Tokens) Reload() (changed bool, err error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	text, err := read(t.path)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(text)
	if now := t.current.Load(); now != nil && now.raw == sum {
		return false, nil
	}
	all, err := Parse(t.path, text)
	if err != nil {
		return false, err
	}
	next := &grants{all: all, of: make(map[[sha256.Size]byte]*Grant, len(all)), raw: sum}
	for _, g := range all {
		if g.ids, err = hider(t.secret, g.Namespaces); err != nil {
			return false, err
		}
		next.of[g.Sum] = g
	}
	t.current.Store(next)
	return true, nil
}

// Grants returns what the file says, in its order. They must not be changed.
func (t *Tokens) Grants() []*Grant { return t.current.Load().all }

// find returns the grant of a hash, nil for none. The map compares in a time that depends on
// its bytes, which tells nothing: they are a digest of what the caller shows, and nobody can
// choose tokens by the bytes of their digests to come nearer to one that is there. The
// comparison that counts takes the same time whatever differs.
func (g *grants) find(sum *[sha256.Size]byte) *Grant {
	found := g.of[*sum]
	if found == nil || subtle.ConstantTimeCompare(found.Sum[:], sum[:]) != 1 {
		return nil
	}
	return found
}

// A caller has shown a token. It lives as long as its call, stream or connection.
type caller struct {
	sum  [sha256.Size]byte
	seen atomic.Pointer[seen]
}

// seen is the grant of a caller as of one reading of the file.
type seen struct {
	in    *grants
	grant *Grant // nil if it is gone
}

// callerKey is where a context has its caller.
type callerKey struct{}

// Admit implements bucketring.Guard.
func (t *Tokens) Admit(ctx context.Context, token string) (context.Context, error) {
	ctx = context.WithValue(ctx, callerKey{}, &caller{sum: sha256.Sum256([]byte(token))})
	err := t.Known(ctx)
	if err == errUnknown && token == "" {
		err = errNoToken
	}
	if err != nil {
		return nil, err
	}
	return ctx, nil
}

// Refused counts calls of those who were not known, and of those who might not.
func (t *Tokens) Refused() (strangers, forbidden int64) {
	return t.strangers.Load(), t.forbidden.Load()
}

// counted counts an error and returns it.
func (t *Tokens) counted(err error) error {
	switch {
	case err == nil:
	case errors.Is(err, bucketring.ErrForbidden):
		t.forbidden.Add(1)
	default:
		t.strangers.Add(1)
	}
	return err
}

var (
	errNoToken = stranger("a token is needed: send it as \"Authorization: Bearer TOKEN\", or ask the operator for one")
	errUnknown = stranger("this token is not known, or no longer: ask the operator for another one")
	errExpired = stranger("the token has expired: ask the operator for a new one")
)

// grantOf returns what a caller has now, nil for nothing any more.
func (t *Tokens) grantOf(c *caller) *Grant {
	now := t.current.Load()
	if s := c.seen.Load(); s != nil && s.in == now {
		return s.grant
	}
	s := &seen{now, now.find(&c.sum)}
	c.seen.Store(s)
	return s.grant
}

// of returns the grant of a context's caller.
func (t *Tokens) of(ctx context.Context) (*Grant, error) {
	c, ok := ctx.Value(callerKey{}).(*caller)
	if !ok {
		return nil, errNoToken
	}
	g := t.grantOf(c)
	if g == nil {
		return nil, errUnknown
	}
	return g, nil
}

// Known implements bucketring.Guard.
func (t *Tokens) Known(ctx context.Context) error {
	g, err := t.of(ctx)
	if err == nil && !g.Expires.IsZero() && g.over(time.Now()) {
		err = errExpired
	}
	return t.counted(err)
}

// May implements bucketring.Guard. It reads the clock for tokens that end alone.
func (t *Tokens) May(ctx context.Context, of bucketring.Scope, namespace string) error {
	g, err := t.of(ctx)
	if err != nil {
		return t.counted(err)
	}
	var now time.Time
	if !g.Expires.IsZero() {
		now = time.Now()
	}
	return t.counted(g.Allows(of, namespace, now))
}
