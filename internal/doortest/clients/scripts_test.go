// scripts_test.go asks by Redis libraries of other languages: each has a script in testdata,
// and all of them say the same.

package clients_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A library is one of another language.
type library struct {
	name     string
	packages string   // of Debian, that have it
	runners  []string // of which one may have it
	probe    []string // behind a runner: succeeds with one that has it
	script   string   // in testdata
}

var libraries = []library{
	{"node-redis", "nodejs node-redis", []string{"node"}, []string{"-e", `require("redis")`}, "node_redis.cjs"},
	{"phpredis", "php-cli php-redis", []string{"php"}, []string{"-r", `new Redis();`}, "phpredis.php"},
	{"predis", "php-cli php-predis", []string{"php"}, []string{"-r", `require "Predis/autoload.php";`}, "predis.php"},
	{"redis-rb", "ruby-redis", []string{"ruby"}, []string{"-e", `require "redis"`}, "redis_rb.rb"},
	// Debian's Python may be hidden by another one, which has not its modules.
	{"redis-py", "python3-redis", []string{"python3", "/usr/bin/python3"}, []string{"-c", "import redis"}, "redis_py.py"},
}

// debianNode is where Debian has modules for Node. Only its own Node looks there unasked.
const debianNode = "NODE_PATH=/usr/share/nodejs"

// runner returns the program that runs the script, or skips the test.
func (l *library) runner(t *testing.T) string {
	t.Helper()
	for _, name := range l.runners {
		cmd := exec.Command(name, l.probe...)
		cmd.Env = append(os.Environ(), debianNode)
		if cmd.Run() == nil {
			return cmd.Path
		}
	}
	t.Skipf("skipped: there is no %s here: .ci/programs.sh, or apt-get install %s", l.name, l.packages)
	return ""
}

// run has runner run the script, and returns the lines that it prints about a node.
func (l *library) run(t *testing.T, runner string, n node, env ...string) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	cmd := exec.CommandContext(ctx, runner, filepath.Join("testdata", l.script))
	_, port, _ := strings.Cut(n.doors["resp"], ":")
	cmd.Env = append(os.Environ(), append(env, debianNode, "REDIS_PORT="+port)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || errs.Len() > 0 {
		t.Errorf("%s: %v, %s", l.script, err, errs.String())
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

// spoken is what each script prints, in lower case: a library may send names of commands
// so, and errors have what was sent. Errors come last, but for one call that shows that the
// connection is still in step.
var spoken = []string{
	`ping "pong"`,
	`bucket [0,3,2,-1,20]`, `bucket [0,3,2,-1,20]`, `bucket [0,3,0,-1,60]`, `bucket [1,3,0,20,60]`, `bucket [1,3,0,40,60]`, `bucket [1,3,0,-1,60]`,
	`window [1,1]`, `window [2,1]`, `window [2,0]`,
	`counter [1,5,true,true,"5"]`,
	`once [true,false,null]`,
	`pipeline [6,true,2,2]`,
	`many true`,
	`client ["shop",true]`,
	`database "db index is out of range"`,
	`type "wrongtype operation against a key holding the wrong kind of value"`,
	`script "unknown command 'evalsha', with args beginning with: 'da39a3ee' '1' 'k' '1'`,
	`transaction "unknown command '`, // MULTI, or EXEC of redis-py
	`subscribe "unknown command 'subscribe', with args beginning with: 'news'`,
	`after 201`,
}

// compareLines holds what a script prints against what is wanted: the seconds of a bucket
// may be a few less, and of errors the end is not looked at.
func compareLines(t *testing.T, got []string) {
	t.Helper()
	if len(got) != len(spoken) {
		t.Errorf("%d lines, want %d:\n%s", len(got), len(spoken), strings.Join(got, "\n"))
		return
	}
	for i, want := range spoken {
		name, value, _ := strings.Cut(strings.ToLower(got[i]), " ")
		wantName, wantValue, _ := strings.Cut(want, " ")
		equal := value == wantValue || strings.HasPrefix(wantValue, `"unknown`) && strings.HasPrefix(value, wantValue)
		if name == "bucket" {
			var five []int64
			equal = json.Unmarshal([]byte(value), &five) == nil && near(five, strings.ReplaceAll(wantValue, ",", " "))
		}
		if name != wantName || !equal {
			t.Errorf("line %d: %s, want %s", i+1, got[i], want)
		}
	}
}

func TestRedisLibraries(t *testing.T) {
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			compareLines(t, l.run(t, l.runner(t), startNode(t)))
		})
	}
}

// Over TLS, with a token as the password: the same. A wrong one, or none, is an error that
// says so, before the first command is answered.
func TestRedisLibrariesOverTLS(t *testing.T) {
	a := newAuthority(t)
	a.sign(t, "node", 31)
	tokens := a.file("tokens.yaml")
	token := newToken(t, tokens, "shop", "--scope", "take,adjust")
	for _, l := range libraries {
		t.Run(l.name, func(t *testing.T) {
			runner := l.runner(t)
			n := startNode(t, "--tls-cert", a.file("node.pem"), "--tls-key", a.file("node.key"), "--tokens-file", tokens)
			ca := "REDIS_CA=" + a.file("ca.pem")
			compareLines(t, l.run(t, runner, n, ca, "REDIS_PASSWORD="+token))
			for want, env := range map[string][]string{
				"invalid username-password pair": {ca, "REDIS_PASSWORD=wrong"},
				"Authentication required":        {ca},
			} {
				if got := l.run(t, runner, n, env...); len(got) != 1 || !strings.HasPrefix(got[0], "connect ") || !strings.Contains(got[0], want) {
					t.Errorf("with %q: %q, want %s", env[1:], got, want)
				}
			}
		})
	}
}
