// counting.go carries out what a command wants of one key, under which there may be a
// counter or a bucket. decisions/0030 says what that promises.

package resp

import (
	"context"
	"errors"
	"fmt"

	"github.com/bucketring/bucketring"
)

const (
	errWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"
	errNoRoom    = "OOM command not allowed when used memory > 'maxmemory'." // as in Redis
)

var (
	// errLater says that a decision needs another node, or has to wait.
	errLater = errors.New("not at once")
	// errOwnerAway says that a decision needs a node that could not be asked.
	errOwnerAway = errors.New("key owner not reachable")
)

// An asker has the Limiter decide: a conn here and now, a Server when it can.
type asker interface {
	// ask returns a decision of who knows the key, which is good until the next call.
	ask(ctx context.Context, req bucketring.Request) (*bucketring.Decision, error)
}

// A counting is a command on a counter, or its part about one key.
type counting struct {
	operation
	key     string
	version int     // of the protocol
	command string  // in lower case, for an error
	makes   bool    // a counter if there is none
	either  bool    // is about buckets, too
	reply   replier // nil if the reply is how many keys were there
}

// do carries k out and appends its reply to b, if it has one. If the error is errLater
// nothing that matters has happened: it can be done once more.
func (k *counting) do(ctx context.Context, s *Server, a asker, b []byte) (outcome, error) {
	if k.op == opDelete {
		return k.remove(ctx, s, a)
	}
	// A counter that is there proves that no bucket is, which saves asking for one.
	said, err := k.step(ctx, s, a, ifThere)
	if err != nil {
		return outcome{}, err
	}
	if said.outcome != absent {
		return k.outcome(b, said), nil
	}
	d, err := a.ask(ctx, bucketring.Request{Verb: bucketring.VerbPeek, Key: k.key, Limits: s.anyBucket})
	switch {
	case err != nil:
		return outcome{}, err
	case d.ResetAfter > 0 && !k.either:
		return outcome{reply: appendError(b, errWrongType)}, nil
	case d.ResetAfter > 0:
		said = answer{before: 1, left: millis(d.ResetAfter)}
	case k.makes:
		if said, err = k.step(ctx, s, a, 0); err != nil {
			return outcome{}, err
		}
	}
	return k.outcome(b, said), nil
}

// remove takes bucket and counter away. The bucket comes last: what happens if that has to
// be done once more counts the same.
func (k *counting) remove(ctx context.Context, s *Server, a asker) (o outcome, err error) {
	bucket := bucketring.Request{Verb: bucketring.VerbPeek, Key: k.key, Limits: s.anyBucket}
	d, err := a.ask(ctx, bucket)
	if err != nil {
		return o, err
	}
	full := d.ResetAfter <= 0
	said, err := k.step(ctx, s, a, 0)
	if err != nil {
		return o, err
	}
	if o = k.outcome(nil, said); full || o.reply != nil {
		return o, nil
	}
	bucket.Verb = bucketring.VerbReset
	_, err = a.ask(ctx, bucket)
	return outcome{total: 1}, err
}

// step has the step do the operation, with further flags.
func (k *counting) step(ctx context.Context, s *Server, a asker, flags int64) (answer, error) {
	o := k.operation
	o.flags |= flags
	req := s.counter
	req.Key, req.Args = k.key, o.args()
	d, err := a.ask(ctx, req)
	switch {
	case err != nil:
		return answer{}, err
	case !d.Allowed && (flags == ifThere || !k.makes):
		return answer{outcome: absent, left: gone}, nil
	case !d.Allowed:
		return answer{outcome: noRoom}, nil
	}
	said := answerOf(d.Values)
	switch {
	case said.outcome == unknown:
	case said.left == gone:
		s.counters.forget(k.key)
	default:
		s.counters.note(k.key)
	}
	return said, nil
}

// outcome returns what an answer stands for.
func (k *counting) outcome(b []byte, said answer) outcome {
	switch {
	case said.outcome == noRoom:
		b = appendError(b, errNoRoom)
	case said.outcome == unknown:
		b = appendError(b, errOlder)
	case said.outcome == overflown:
		b = appendError(b, errOverflow)
	case said.outcome == invalidTime:
		b = appendError(b, fmt.Sprintf("ERR invalid expire time in '%s' command", k.command))
	case k.reply == nil:
		return outcome{b, said.before}
	default:
		b = k.reply(b, k.version, said)
	}
	return outcome{reply: b}
}
