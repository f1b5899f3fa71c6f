// door_postfix_test.go asks by the door of docs/examples/postfix, which is not ours: its module
// has what is public, and nothing in the house knows of it.

package doortest_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const postfixExample = house + "/docs/examples/postfix"

// listensAt is what the example logs when it can be asked.
var listensAt = regexp.MustCompile(`listening on (\S+)`)

func postfixDoor() door {
	const oneAtLeast, lines = "Postfix counts recipients, of which there is one at least", "a value ends with its line"
	return door{
		name: "Postfix, by an example", apart: true,
		cannot: map[string]string{
			"a cost of 0": oneAtLeast, "a cost of 0 when all is used": oneAtLeast, "a key of other letters": lines, anyBytes: noBytesInProto,
		},
		open: func(t *testing.T, n *node) take {
			program, look := buildPostfix(t), queryDoor().open(t, n)
			running := map[string]net.Conn{} // by limit, which is a setting of this door
			return func(ctx context.Context, key, limit string, cost int64) (bool, int64, error) {
				conn, ok := running[limit]
				if !ok {
					conn = startPostfix(t, program, n, limit)
					running[limit] = conn
				}
				allowed, err := askPostfix(ctx, conn, key, cost)
				if err != nil {
					return false, 0, err
				}
				_, left, err := look(ctx, "mail/user/"+key, limit, 0) // which Postfix is not told
				return allowed, left, err
			}
		},
	}
}

func buildPostfix(t *testing.T) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "postfix-door")
	cmd := exec.Command("go", "build", "-o", program, ".")
	cmd.Dir = postfixExample
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v:\n%s", err, out)
	}
	return program
}

// startPostfix runs the example with a limit, and connects as Postfix does.
func startPostfix(t *testing.T, program string, n *node, limit string) (conn net.Conn) {
	t.Helper()
	p := start(t, "postfix-door", exec.Command(program, "-listen", "127.0.0.1:0", "-nodes", n.doors["grpc"], "-limit", limit))
	await(t, func() (err error) {
		found := listensAt.FindStringSubmatch(p.text())
		if found == nil {
			return fmt.Errorf("it does not listen:\n%s", p.text())
		}
		conn, err = net.Dial("tcp", found[1])
		return err
	}, p)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// askPostfix asks as smtpd does at the end of a mail with so many recipients.
func askPostfix(ctx context.Context, conn net.Conn, user string, recipients int64) (allowed bool, err error) {
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	_, err = fmt.Fprintf(conn, "request=smtpd_access_policy\nprotocol_state=DATA\nprotocol_name=ESMTP\nhelo_name=client.example\n"+
		"client_address=192.0.2.1\nsender=a@example.org\nrecipient=\nrecipient_count=%d\nsasl_method=plain\nsasl_username=%s\nsize=1\n\n", recipients, user)
	if err != nil {
		return false, err
	}
	answer := bufio.NewReader(conn)
	line, err := answer.ReadString('\n')
	end, err2 := answer.ReadString('\n')
	action, isAction := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "action=")
	switch {
	case err != nil || err2 != nil || !isAction || end != "\n":
		return false, fmt.Errorf("the answer is %q %q: %v, %v", line, end, err, err2)
	case action == "DUNNO":
		return true, nil
	case strings.HasPrefix(action, "DEFER_IF_PERMIT ") || strings.HasPrefix(action, "REJECT "):
		return false, nil
	}
	return false, fmt.Errorf("the action is %q", action)
}

// What is said of the example holds: it is short, and its module's name keeps it from what is
// internal.
func TestPostfixExampleIsAStranger(t *testing.T) {
	const most = 120
	if n := strings.Count(read(t, "docs/examples/postfix/main.go"), "\n"); n > most {
		t.Errorf("main.go has %d lines, more than the %d that its page says", n, most)
	}
	if mod := read(t, "docs/examples/postfix/go.mod"); !strings.Contains(mod, "\nmodule example.org/postfix\n") {
		t.Errorf("the module is another one: what is internal could be imported:\n%s", mod)
	}
}
