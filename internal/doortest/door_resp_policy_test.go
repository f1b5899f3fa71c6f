// door_resp_policy_test.go asks as a Redis client does, by RL.TAKE, under the policies that
// Envoy asks for too.

package doortest_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
)

func respPolicyDoor() door {
	return door{
		name: "RESP RL.TAKE", apart: true,
		open: func(t *testing.T, n *node) take {
			c := dialRESP(t, n)
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				deadline, _ := ctx.Deadline()
				_ = c.conn.SetDeadline(deadline)
				said, err := c.do("RL.TAKE", namespace(limit), "caller", key, "COST", fmt.Sprint(cost))
				if err != nil {
					return false, 0, err
				}
				all, err := pairs(said)
				remaining, isNumber := all["remaining"].(int64)
				if err != nil || !isNumber || all["degraded"] != int64(0) {
					return false, 0, fmt.Errorf("%v, %w, want a decision with a number", said, err)
				}
				return all["allowed"] == int64(1), remaining, nil
			}
		},
	}
}

// A respConn is a client of the Redis door.
type respConn struct {
	conn net.Conn
	r    *bufio.Reader
}

func dialRESP(t *testing.T, n *node) *respConn {
	t.Helper()
	conn, err := net.Dial("tcp", n.doors["resp"])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &respConn{conn, bufio.NewReader(conn)}
}

// An errorReply is a reply that is an error.
type errorReply string

// do sends a command and returns its reply: an int64, a string, nil, an errorReply, a list,
// or of a map what it is in RESP2.
func (c *respConn) do(words ...string) (any, error) {
	if _, err := io.WriteString(c.conn, command(words)); err != nil {
		return nil, err
	}
	return c.reply()
}

func (c *respConn) reply() (any, error) {
	line, err := c.r.ReadString('\n')
	if line = strings.TrimSuffix(line, "\r\n"); err != nil || line == "" {
		return nil, fmt.Errorf("%q, %w", line, err)
	}
	kind, rest := line[0], line[1:]
	switch {
	case kind == '+':
		return rest, nil
	case kind == '-':
		return errorReply(rest), nil
	case line == "_" || line == "$-1":
		return nil, nil
	}
	n, err := strconv.ParseInt(rest, 10, 64)
	switch {
	case err != nil || strings.IndexByte(":$*%", kind) < 0 || kind != ':' && n < 0:
		return nil, fmt.Errorf("%q is no reply", line)
	case kind == ':':
		return n, nil
	case kind == '$':
		text := make([]byte, n+2)
		_, err := io.ReadFull(c.r, text)
		return string(text[:n]), err
	case kind == '%':
		n *= 2
	}
	list := []any{}
	for range n {
		one, err := c.reply()
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// pairs reads a list of names and values in turn.
func pairs(said any) (map[string]any, error) {
	list, ok := said.([]any)
	all := map[string]any{}
	for i := 0; ok && i+1 < len(list); i += 2 {
		name, _ := list[i].(string)
		all[name] = list[i+1]
	}
	if !ok || len(list) != 2*len(all) {
		return nil, fmt.Errorf("%v is no list of pairs", said)
	}
	return all, nil
}
