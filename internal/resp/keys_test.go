package resp_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

func TestDelAndExists(t *testing.T) {
	cell := newCell()
	for name, limiter := range map[string]bucketring.Limiter{"at once": cell, "beside": limiterFunc(cell.Take)} {
		t.Run(name, func(t *testing.T) {
			d := open(t, resp.Config{Limiter: limiter})
			defer d.close()
			d.client().talk([]said{
				{"DEL a", ":0\r\n"}, {"EXISTS a", ":0\r\n"},
				{"CL.THROTTLE a 1 1 9", numbers(0, 2, 1, -1, 9)}, {"CL.THROTTLE b 1 1 9 2", numbers(0, 2, 0, -1, 18)},
				{"EXISTS a b a c", ":3\r\n"},
				{"DEL a c a", ":1\r\n"}, // a second time it is gone
				{"CL.THROTTLE a 1 1 9 0", numbers(0, 2, 2, -1, 0)}, {"CL.THROTTLE b 1 1 9 0", numbers(0, 2, 0, -1, 18)},
				{"EXISTS a b", ":1\r\n"}, {"del b", ":1\r\n"},
				{"DEL", "-ERR wrong number of arguments for 'del' command\r\n"},
				{"EXISTS", "-ERR wrong number of arguments for 'exists' command\r\n"},
				{"DEL a " + strings.Repeat("k", 513), "-ERR key must be 1 to 512 bytes\r\n"},
			}...)
			if len(cell.arrivals) != 0 {
				t.Errorf("left are %v", cell.arrivals)
			}
		})
	}
}

// TestDelWithoutTheOwner answers no number that nobody knows.
func TestDelWithoutTheOwner(t *testing.T) {
	const away = "-UNAVAILABLE key owner not reachable\r\n"
	full := bucketring.LimitState{ResetAfter: time.Second}
	for name, tt := range map[string]struct {
		peek, reset bucketring.Decision
		del, exists string
	}{
		"share":  {peek: bucketring.Decision{Source: bucketring.SourceFallbackShare}, del: away, exists: away},
		"open":   {peek: bucketring.Decision{Source: bucketring.SourceFallbackOpen}, del: away, exists: away},
		"closed": {peek: bucketring.Decision{Source: bucketring.SourceFallbackClosed}, del: away, exists: away},
		"between": {
			peek:  bucketring.Decision{LimitState: full},
			reset: bucketring.Decision{Source: bucketring.SourceFallbackShare}, del: away, exists: ":1\r\n",
		},
		"replica": {
			peek:  bucketring.Decision{LimitState: full, Source: bucketring.SourceReplica, Degraded: true},
			reset: bucketring.Decision{Source: bucketring.SourceReplica, Degraded: true}, del: ":1\r\n", exists: ":1\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			answer := func(req *bucketring.Request, d *bucketring.Decision) bool {
				if *d = tt.peek; req.Verb == bucketring.VerbReset {
					*d = tt.reset
				}
				return true
			}
			slow := limiterFunc(func(_ context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
				answer(&req, &d)
				return d, nil
			})
			for _, limiter := range []bucketring.Limiter{slow, immediate{slow, answer}} {
				d := open(t, resp.Config{Limiter: limiter})
				d.client().talk(said{"DEL k", tt.del}, said{"EXISTS k", tt.exists})
				d.close()
			}
		})
	}
}

// TestOnePartFails answers the error of one key for the whole command.
func TestOnePartFails(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(func(_ context.Context, req bucketring.Request) (d bucketring.Decision, err error) {
		if req.Key == "bad" || req.Verb == bucketring.VerbReset && req.Key == "worse" {
			return d, bucketring.Invalidf("not this one")
		}
		d.ResetAfter = 1
		return d, nil
	})})
	defer d.close()
	d.client().talk(said{"EXISTS a bad b", "-ERR not this one\r\n"}, said{"DEL a worse", "-ERR not this one\r\n"},
		said{"EXISTS a worse", ":2\r\n"})
}
