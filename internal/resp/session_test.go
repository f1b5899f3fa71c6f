package resp_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring/internal/resp"
)

// said is one exchange: words, joined by blanks, and the reply.
type said struct{ words, want string }

func (c *client) talk(all ...said) {
	c.t.Helper()
	for _, s := range all {
		c.expect(s.want, strings.Fields(s.words)...)
	}
}

// greeting is the reply to HELLO of the first connection.
func greeting(version int) string {
	head := map[int]string{2: "*14\r\n", 3: "%7\r\n"}[version]
	return head + bulk("server") + bulk("redis") + bulk("version") + bulk("7.2.0") +
		bulk("proto") + fmt.Sprintf(":%d\r\n", version) + bulk("id") + ":1\r\n" +
		bulk("mode") + bulk("standalone") + bulk("role") + bulk("master") + bulk("modules") + "*0\r\n"
}

const (
	ok        = "+OK\r\n"
	noCluster = "-ERR This instance has cluster support disabled\r\n"
	noAuth    = "-NOAUTH Authentication required.\r\n"
	wrong     = "-WRONGPASS invalid username-password pair or user is disabled.\r\n"
)

func TestConnectionCommands(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(allowing)})
	defer d.close()
	d.client().talk([]said{
		{"PING", "+PONG\r\n"}, {"ping text", bulk("text")}, {"ECHO a", bulk("a")},
		{"PING a b", "-ERR wrong number of arguments for 'ping' command\r\n"},
		{"Echo", "-ERR wrong number of arguments for 'echo' command\r\n"},
		{"SELECT 0", ok}, {"SELECT 1", "-ERR DB index is out of range\r\n"},
		{"SELECT x", "-ERR value is not an integer or out of range\r\n"},
		{"CLIENT ID", ":1\r\n"}, {"CLIENT SETINFO lib-name x", ok}, {"client no-evict on", ok}, {"CLIENT NO-TOUCH on", ok},
		{"CLIENT SETINFO lib-name", "-ERR wrong number of arguments for 'client|setinfo' command\r\n"},
		{"CLIENT", "-ERR wrong number of arguments for 'client' command\r\n"},
		{"CLIENT TRACKING ON", "-ERR unknown subcommand 'TRACKING'. Try CLIENT HELP.\r\n"},
		{"CLIENT MAINT_NOTIFICATIONS ON", "-ERR unknown subcommand 'MAINT_NOTIFICATIONS'. Try CLIENT HELP.\r\n"},
		{"COMMAND", "*0\r\n"}, {"COMMAND INFO get", "*0\r\n"}, {"COMMAND DOCS", "*0\r\n"},
		{"COMMAND COUNT", fmt.Sprintf(":%d\r\n", resp.Offered)},
		{"COMMAND COUNT 1", "-ERR wrong number of arguments for 'command|count' command\r\n"},
		{"COMMAND LIST", "-ERR unknown subcommand 'LIST'. Try COMMAND HELP.\r\n"},
		{"CLUSTER SLOTS", noCluster}, {"READONLY", noCluster}, {"readwrite", noCluster}, {"ASKING", noCluster},
		{"READONLY 1", "-ERR wrong number of arguments for 'readonly' command\r\n"},
		{"AUTH x", "-ERR AUTH called but no token is configured\r\n"},
		{"HELLO 3 AUTH default x", "-ERR AUTH called but no token is configured\r\n"},
		{"AUTH", "-ERR wrong number of arguments for 'auth' command\r\n"},
		{"SADD a b", "-ERR unknown command 'SADD', with args beginning with: 'a' 'b' \r\n"},
		{"EVAL", "-ERR unknown command 'EVAL', with args beginning with: \r\n"},
		{"THROTTLE k 1 1 1", "-ERR unknown command 'THROTTLE', with args beginning with: 'k' '1' '1' '1' \r\n"},
		{"ANAMELONGERTHANANYOFOURS", "-ERR unknown command 'ANAMELONGERTHANANYOFOURS', with args beginning with: \r\n"},
		{"QUIT", ok},
	}...)
	d.clients[0].ended()
	if got := resp.CommandNames(); len(got) != resp.Offered {
		t.Errorf("%d commands are offered: %q", len(got), got)
	}
}

func TestUnknownCommandIsCutShort(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(allowing)})
	defer d.close()
	x, y := strings.Repeat("x", 200), strings.Repeat("y", 100)
	d.client().expect("-ERR unknown command '"+x[:128]+"', with args beginning with: '"+y+"' '"+x[:25]+"' \r\n", x, y, x, "z")
	d.clients[0].expect("-ERR unknown command 'a  +OK', with args beginning with: '  :1' \r\n", "a\r\n+OK", "\r\n:1")
}

func TestHello(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(allowing)})
	defer d.close()
	d.client().talk([]said{
		{"HELLO", greeting(2)},
		{"HELLO 4", "-NOPROTO unsupported protocol version\r\n"},
		{"HELLO 1", "-NOPROTO unsupported protocol version\r\n"},
		{"HELLO three", "-ERR Protocol version is not an integer or out of range\r\n"},
		{"HELLO 3 SETNAME", "-ERR Syntax error in HELLO option 'SETNAME'\r\n"},
		{"HELLO 3 SETNAME a AUTH b", "-ERR Syntax error in HELLO option 'AUTH'\r\n"},
		{"HELLO 3 X", "-ERR Syntax error in HELLO option 'X'\r\n"},
		{"CLIENT GETNAME", "$-1\r\n"}, // errors changed nothing
		{"HELLO 3 setname me", greeting(3)},
		{"HELLO", greeting(3)},
		{"CLIENT GETNAME", bulk("me")},
		{"HELLO 2", greeting(2)},
	}...)
}

// TestVersions compares every kind of reply in both versions.
func TestVersions(t *testing.T) {
	d := open(t, resp.Config{Limiter: newCell()})
	defer d.close()
	c := d.client()
	same := []said{
		{"PING", "+PONG\r\n"}, {"ECHO a", bulk("a")}, {"CLIENT ID", ":1\r\n"}, {"COMMAND", "*0\r\n"}, {"COMMAND INFO", "*0\r\n"},
		{"CL.THROTTLE k 1 1 1 0", numbers(0, 2, 2, -1, 0)}, {"DEL k", ":0\r\n"},
		{"X", "-ERR unknown command 'X', with args beginning with: \r\n"},
	}
	c.talk(same...)
	c.talk(said{"CLIENT GETNAME", "$-1\r\n"}, said{"COMMAND DOCS", "*0\r\n"}, said{"HELLO 3", greeting(3)})
	c.talk(same...)
	c.talk(said{"CLIENT GETNAME", "_\r\n"}, said{"COMMAND DOCS", "%0\r\n"}, said{"RESET", "+RESET\r\n"})
	c.talk(said{"CLIENT GETNAME", "$-1\r\n"}, said{"COMMAND DOCS", "*0\r\n"})
}

func TestNames(t *testing.T) {
	const special = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"
	d := open(t, resp.Config{Limiter: limiterFunc(allowing)})
	defer d.close()
	c := d.client()
	c.talk(said{"CLIENT SETNAME a", ok}, said{"CLIENT GETNAME", bulk("a")})
	c.expect(special, "CLIENT", "SETNAME", "a b")
	c.expect(special, "HELLO", "3", "SETNAME", "a\n")
	c.expect("-ERR Client names cannot be longer than 512 bytes.\r\n", "CLIENT", "SETNAME", strings.Repeat("a", 513))
	c.talk(said{"CLIENT GETNAME", bulk("a")})
	c.expect(ok, "CLIENT", "SETNAME", "")
	c.talk(said{"CLIENT GETNAME", "$-1\r\n"}, said{"CLIENT SETNAME b", ok}, said{"RESET", "+RESET\r\n"}, said{"CLIENT GETNAME", "$-1\r\n"})
	d.client().talk(said{"CLIENT ID", ":2\r\n"}, said{"CLIENT GETNAME", "$-1\r\n"})
}

func TestAuth(t *testing.T) {
	guard := &listening{tokens: tokens{"good": allScopes}}
	d := open(t, resp.Config{Limiter: limiterFunc(allowing), Guard: guard})
	defer d.close()
	c := d.client()
	c.talk([]said{
		{"PING", noAuth}, {"NONSENSE", noAuth}, {"CL.THROTTLE k 1 1 1", noAuth}, {"HELLO 3", noAuth}, {"CLIENT SETNAME a", noAuth},
		{"HELLO 9", "-NOPROTO unsupported protocol version\r\n"},
		{"AUTH bad", wrong}, {"AUTH user bad", wrong}, {"AUTH good bad", wrong}, {"HELLO 3 AUTH u bad", wrong}, {"PING", noAuth},
		{"AUTH good", ok}, {"PING", "+PONG\r\n"}, {"CLIENT GETNAME", "$-1\r\n"},
		{"AUTH bad", wrong}, {"PING", "+PONG\r\n"}, // the good one still counts
		{"RESET", "+RESET\r\n"}, {"PING", noAuth},
		{"AUTH anybody good", ok}, {"RESET", "+RESET\r\n"},
		{"HELLO 3 AUTH anybody good", greeting(3)}, {"PING", "+PONG\r\n"}, {"RESET", "+RESET\r\n"},
		{"QUIT", ok},
	}...)
	c.ended()
	guard.asked = slices.DeleteFunc(guard.asked, func(token string) bool { return token == "" })
	want := "bad bad bad bad good bad good good"
	if got := strings.Join(guard.asked, " "); got != want {
		t.Errorf("asked for %q, want %q", got, want)
	}
}

// TestGuessing cuts off who tries one token after the other, and nobody who is wrong now
// and then.
func TestGuessing(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(allowing), Guard: tokens{"good": allScopes}})
	defer d.close()
	c := d.client()
	for range 4 {
		c.talk(said{"AUTH bad", wrong}, said{"HELLO 3 AUTH u bad", wrong}, said{"RESET", "+RESET\r\n"})
	}
	c.talk(said{"AUTH good", ok}, said{"AUTH bad", wrong}, said{"PING", "+PONG\r\n"}, said{"AUTH bad", wrong})
	c.ended()
}

// TestStrangersHaveLessRoom sends the same commands without a token and with one, in
// one piece: what the first one says must count for the next.
func TestStrangersHaveLessRoom(t *testing.T) {
	d := open(t, resp.Config{Limiter: newCell(), Guard: tokens{"a": allScopes}})
	defer d.close()
	many := wire(append([]string{"EXISTS"}, strings.Fields(strings.Repeat("k ", 10))...)...)
	long := wire("ECHO", strings.Repeat("x", 16<<10+1))
	for in, want := range map[string]string{
		many:                       "-ERR Protocol error: unauthenticated multibulk length\r\n",
		long:                       "-ERR Protocol error: unauthenticated bulk length\r\n",
		wire("AUTH", "a") + many:   ok + ":0\r\n",
		wire("AUTH", "a") + long:   ok + bulk(strings.Repeat("x", 16<<10+1)),
		wire("RESET") + many:       "+RESET\r\n-ERR Protocol error: unauthenticated multibulk length\r\n",
		"AUTH a\r\nRESET\n" + many: ok + "+RESET\r\n-ERR Protocol error: unauthenticated multibulk length\r\n",
	} {
		c := d.client()
		go func() { _, _ = c.Write([]byte(in)) }() // it may be cut off before the end
		got := ""
		for len(got) < len(want) {
			got += c.reply()
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.50q (-want +got)\n%s", in, diff)
		}
		if strings.Contains(want, "Protocol error") {
			c.ended()
		}
	}
	if got := d.Stats().ProtocolErrors; got != 4 {
		t.Errorf("%d protocol errors were counted, want 4", got)
	}
}

func TestInfo(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(allowing), Version: "1.2.3"})
	defer d.close()
	d.client()
	for _, words := range [][]string{{"INFO"}, {"INFO", "server"}} {
		got := d.client().do(words...)
		for _, line := range []string{"redis_version:7.2.0", "redis_mode:standalone", "role:master", "loading:0",
			"connected_clients:", "uptime_in_seconds:", "bucketring_version:1.2.3"} {
			if !strings.Contains(got, "\n"+line) {
				t.Errorf("%q has no line %q", got, line)
			}
		}
	}
}

func TestTime(t *testing.T) {
	d := open(t, resp.Config{Limiter: limiterFunc(allowing)})
	defer d.close()
	parts := strings.Split(d.client().do("TIME"), "\r\n")
	if len(parts) != 6 || parts[0] != "*2" || len(parts[2]) < 10 || len(parts[4]) > 6 {
		t.Errorf("TIME = %q", parts)
	}
}
