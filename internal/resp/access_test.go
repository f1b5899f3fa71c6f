package resp_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// tokens is a Guard that knows these, with what each is good for.
type tokens map[string]bucketring.Scope

const allScopes = bucketring.ScopeTake | bucketring.ScopeAdjust | bucketring.ScopeRead | bucketring.ScopeAdmin

type admitted struct{}

func (t tokens) Admit(ctx context.Context, token string) (context.Context, error) {
	if _, ok := t[token]; !ok {
		return nil, bucketring.ErrUnauthenticated
	}
	return context.WithValue(ctx, admitted{}, token), nil
}

func (t tokens) Known(ctx context.Context) error {
	if token, _ := ctx.Value(admitted{}).(string); t[token] == 0 {
		return bucketring.ErrUnauthenticated
	}
	return nil
}

func (t tokens) May(ctx context.Context, of bucketring.Scope, _ string) error {
	if err := t.Known(ctx); err != nil {
		return err
	}
	if t[ctx.Value(admitted{}).(string)]&of == 0 {
		return fmt.Errorf("%w: it needs %v", bucketring.ErrForbidden, of)
	}
	return nil
}

// listening notes which tokens were shown.
type listening struct {
	tokens
	asked []string
}

func (l *listening) Admit(ctx context.Context, token string) (context.Context, error) {
	l.asked = append(l.asked, token)
	return l.tokens.Admit(ctx, token)
}

// allCommands are what each command needs. Those without scopes do nothing to a key, and
// are for all who have a token. What comes with another effect than usual is there twice.
var allCommands = map[string]bucketring.Scope{
	"CL.THROTTLE k 1 1 1": bucketring.ScopeTake, "CL.THROTTLE k 1 1 1 0": bucketring.ScopeTake | bucketring.ScopeRead,
	"CL.THROTTLE k 1 1 1 -1": bucketring.ScopeAdjust,
	"INCREX c":               bucketring.ScopeTake, "INCREX c BYINT -1": bucketring.ScopeAdjust,
	"INCR c": bucketring.ScopeTake, "DECR c": bucketring.ScopeAdjust,
	"INCRBY c 2": bucketring.ScopeTake, "INCRBY c -2": bucketring.ScopeAdjust,
	"DECRBY c -2": bucketring.ScopeTake, "DECRBY c 2": bucketring.ScopeAdjust,
	"GET c": bucketring.ScopeTake | bucketring.ScopeRead, "EXISTS c": bucketring.ScopeTake | bucketring.ScopeRead,
	"TTL c": bucketring.ScopeTake | bucketring.ScopeRead, "PTTL c": bucketring.ScopeTake | bucketring.ScopeRead,
	"SET c 1": bucketring.ScopeAdjust, "SET c 1 NX": bucketring.ScopeTake,
	"EXPIRE c 60": bucketring.ScopeTake, "EXPIRE c 0": bucketring.ScopeAdjust,
	"PEXPIRE c 60": bucketring.ScopeTake, "PEXPIRE c -1": bucketring.ScopeAdjust,
	"DEL c":               bucketring.ScopeAdjust,
	"RL.TAKE shop user u": bucketring.ScopeTake, "RL.PEEK shop user u": bucketring.ScopeTake | bucketring.ScopeRead, "RL.USAGE shop": bucketring.ScopeRead,
	"RL.RENEW " + leaseA: bucketring.ScopeTake, "RL.RELEASE " + leaseA: bucketring.ScopeTake, "RL.SETTLE " + leaseA + " 1": bucketring.ScopeTake,
	"PING": 0, "ECHO a": 0, "SELECT 0": 0, "CLIENT ID": 0, "INFO": 0, "COMMAND COUNT": 0, "CLUSTER SLOTS": 0, "TIME": 0,
	"READONLY": 0, "READWRITE": 0, "ASKING": 0,
}

// forStrangers are the commands by which a client says who it is, or goes.
var forStrangers = []string{"QUIT", "RESET", "HELLO", "AUTH"}

// Every command with every scope: who lacks it is told NOPERM, and nothing has happened.
func TestCommandsNeedScopes(t *testing.T) {
	known := map[string]bool{}
	for _, name := range forStrangers {
		known[name] = true
	}
	all := tokens{"none": 1 << 7}
	for _, name := range bucketring.ScopeNames() {
		all[name], _ = bucketring.ParseScope(name)
	}
	for command, needs := range allCommands {
		name, _, _ := strings.Cut(command, " ")
		known[name] = true
		for token, scope := range all {
			d := open(t, resp.Config{Limiter: newCell(), Guard: all})
			c := d.client()
			if got := c.do(strings.Fields(command)...); got != noAuth {
				t.Errorf("%s without a token: %q", command, got)
			}
			c.talk(said{"AUTH " + token, ok})
			got := c.do(strings.Fields(command)...)
			if allowed := needs == 0 || needs&scope != 0; strings.HasPrefix(got, "-NOPERM ") == allowed || strings.HasPrefix(got, "-NOAUTH") {
				t.Errorf("%s with %s: %q, want allowed to be %v", command, token, got, allowed)
			}
			d.close()
		}
	}
	for _, name := range resp.Commands() {
		if !known[name] {
			t.Errorf("nothing says which scope %s needs", name)
		}
	}
}

// Some are let in without a token, for what such callers may do.
func TestAnonymous(t *testing.T) {
	d := open(t, resp.Config{Limiter: newCell(), Guard: tokens{"": bucketring.ScopeTake, "all": allScopes}})
	defer d.close()
	c := d.client()
	c.talk(said{"HELLO 2", greeting(2)}, said{"INCR c", ":1\r\n"}, said{"AUTH no", wrong}, said{"PING", "+PONG\r\n"})
	if got := c.do("DEL", "c"); !strings.HasPrefix(got, "-NOPERM ") {
		t.Errorf("DEL without a token: %q", got)
	}
	c.talk(said{"AUTH all", ok}, said{"DEL c", ":1\r\n"})
}

// A changing is a Guard whose tokens change.
type changing struct {
	mu  sync.Mutex
	now tokens // guarded by mu
}

func (c *changing) set(now tokens) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = now
}

func (c *changing) get() tokens {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *changing) Admit(ctx context.Context, token string) (context.Context, error) {
	return c.get().Admit(ctx, token)
}

func (c *changing) Known(ctx context.Context) error { return c.get().Known(ctx) }

func (c *changing) May(ctx context.Context, of bucketring.Scope, namespace string) error {
	return c.get().May(ctx, of, namespace)
}

// A connection whose token is taken away is a stranger's with the next command, and may
// show another one.
func TestTokenIsTakenAway(t *testing.T) {
	guard := &changing{now: tokens{"old": allScopes, "new": allScopes}}
	d := open(t, resp.Config{Limiter: newCell(), Guard: guard})
	defer d.close()
	c := d.client()
	c.talk(said{"AUTH old", ok}, said{"PING", "+PONG\r\n"}, said{"INCR c", ":1\r\n"})
	guard.set(tokens{"new": allScopes})
	c.talk(said{"PING", noAuth}, said{"INCR c", noAuth}, said{"HELLO", noAuth}, said{"AUTH old", wrong}, said{"AUTH new", ok}, said{"INCR c", ":2\r\n"})
}

func (tokens) Hide(_ context.Context, leases []string, reservation string) ([]string, string) {
	return leases, reservation
}

func (t tokens) Reveal(ctx context.Context, ids []string) ([]string, error) {
	return ids, t.May(ctx, bucketring.ScopeTake, "")
}

func (*changing) Hide(_ context.Context, leases []string, reservation string) ([]string, string) {
	return leases, reservation
}

func (*changing) Reveal(_ context.Context, ids []string) ([]string, error) {
	return ids, nil
}
