// clients_test.go runs the snippets of docs/clients.md.

package doortest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A need is what the snippets of a section are run by, and the packages of Debian that
// have it.
type need struct {
	programs []string
	modules  []string // of Python
	packages string
}

// needs has each section with snippets.
var needs = map[string]need{
	"curl":          {programs: []string{"curl"}, packages: "curl"},
	"Python, HTTP":  {modules: []string{"json"}, packages: "python3"},
	"Python, gRPC":  {[]string{"protoc", "grpc_python_plugin"}, []string{"grpc", "google.protobuf"}, "python3-grpcio python3-protobuf protobuf-compiler protobuf-compiler-grpc"},
	"Redis clients": {[]string{"redis-cli"}, []string{"redis"}, "redis-tools python3-redis"},
	"Node":          {programs: []string{"node"}, packages: "nodejs"},
	"PHP":           {programs: []string{"php"}, packages: "php-cli"},
}

// What a snippet reads from its environment, and what it asks without.
var variables = map[string]string{
	"LIMITER_URL": "http://127.0.0.1:7750", "LIMITER_GRPC": "127.0.0.1:7751", "LIMITER_REDIS": "redis://127.0.0.1:7754",
}

var (
	variable = regexp.MustCompile(`LIMITER_\w+`)
	loopback = regexp.MustCompile(`[\w:/]*127\.0\.0\.1:\d+`)
)

// Each snippet can be run against any node, and asks that of `bucketring dev` if it is
// told nothing.
func TestSnippetsReadTheirAddress(t *testing.T) {
	found := 0
	for _, s := range sections(t, read(t, clientsFile)) {
		if _, known := needs[s.title]; known != (len(s.snippets) > 0) {
			t.Errorf("section %q has %d snippets, and a line in needs: %v", s.title, len(s.snippets), known)
		}
		for _, c := range s.snippets {
			found++
			names, addrs := variable.FindAllString(c.code, -1), loopback.FindAllString(c.code, -1)
			if len(addrs) == 0 && strings.Contains(c.code, "protoc ") {
				continue // asks nobody
			}
			if len(names) != 1 || len(addrs) != 1 || variables[names[0]] != addrs[0] {
				t.Errorf("%s:%d reads %q and asks %q, want one variable with its default", clientsFile, c.line, names, addrs)
			}
		}
	}
	if found < 9 {
		t.Errorf("%d snippets were found, want all", found)
	}
}

// Each snippet is well-formed, by whatever interpreter is here.
func TestSnippetsParse(t *testing.T) {
	checks := map[string][]string{
		"sh": {"sh", "-n"}, "python": {"python3", "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read())"},
		"js": {"node", "--check"}, "php": {"php", "-l"},
	}
	for _, s := range sections(t, read(t, clientsFile)) {
		for _, c := range s.snippets {
			check := checks[c.lang]
			path, err := exec.LookPath(check[0])
			if err != nil {
				t.Logf("%s:%d is not checked: there is no %s here", clientsFile, c.line, check[0])
				continue
			}
			file := write(t, filepath.Join(t.TempDir(), languages[c.lang]), c.code)
			if out, err := exec.Command(path, append(check[1:], file)...).CombinedOutput(); err != nil {
				t.Errorf("%s:%d: %v:\n%s", clientsFile, c.line, err, out)
			}
		}
	}
}

// Each snippet prints what the document shows below it.
func TestSnippets(t *testing.T) {
	n := startNode(t, "--forward-budget", "5s", "--resp-forward-budget", "5s")
	env := environment(n.doors["http"], n.doors["grpc"], n.doors["resp"])
	for _, s := range sections(t, read(t, clientsFile)) {
		if len(s.snippets) == 0 {
			continue
		}
		t.Run(s.title, func(t *testing.T) {
			python := needs[s.title].find(t)
			dir := t.TempDir() // one for the section: a snippet may need what the one before has made
			write(t, filepath.Join(dir, "limit.proto"), read(t, "transport/limitpb/limit.proto"))
			for _, c := range s.snippets {
				c.run(t, dir, python, env)
			}
		})
	}
}

// firstLines are what snippets print first if nobody decides: the call may go on.
var firstLines = map[string]string{
	"Python, HTTP": "True False", "Python, gRPC": "(True, None)", "Redis clients": "(True, None)", "Node": "{ allowed: true }", "PHP": "true 0",
}

// What the page says of a limiter that is away holds: the functions on it let the call
// pass, whether nobody is there, or somebody who says nothing, or a node that cannot
// decide.
func TestSnippetsLetPass(t *testing.T) {
	binary(t) // they run programs, though not ours
	for _, s := range sections(t, read(t, clientsFile)) {
		if firstLines[s.title] != "" {
			t.Run(s.title, func(t *testing.T) {
				t.Parallel() // they wait
				s.letPass(t, firstLines[s.title])
			})
		}
	}
}

// letPass runs the last snippet of a section where nobody decides. Those before may
// make what it needs.
func (s *section) letPass(t *testing.T, want string) {
	t.Helper()
	python, dir, last := needs[s.title].find(t), t.TempDir(), len(s.snippets)-1
	write(t, filepath.Join(dir, "limit.proto"), read(t, "transport/limitpb/limit.proto"))
	c, addrs := s.snippets[last], []string{freeAddr(t), hanging(t)}
	for _, earlier := range s.snippets[:last] {
		_, _, _ = earlier.outcome(t, dir, python, environment(addrs[0], addrs[0], addrs[0]))
	}
	if strings.Contains(c.code, "LIMITER_URL") {
		addrs = append(addrs, undecided(t))
	}
	for _, addr := range addrs {
		out, errs, _ := c.outcome(t, dir, python, environment(addr, addr, addr))
		if first, _, _ := strings.Cut(out, "\n"); first != want {
			t.Errorf("%s:%d prints first:\n%s\n%s, want %s", clientsFile, c.line, first, errs, want)
		}
	}
}

// undecided returns the address of a node that has no decision in time.
func undecided(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, `{"type":"about:blank","title":"Temporary reduced capacity","status":503,"detail":"no node could decide this call in time"}`)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// environment tells snippets where the doors are.
func environment(web, grpc, redis string) []string {
	return append(cleanEnv(), "LIMITER_URL=http://"+web, "LIMITER_GRPC="+grpc, "LIMITER_REDIS=redis://"+redis)
}

// find skips the test if something is missing, and returns a Python that has the
// modules.
func (n need) find(t *testing.T) (python string) {
	t.Helper()
	for _, p := range n.programs {
		find(t, p, n.packages)
	}
	if len(n.modules) == 0 {
		return ""
	}
	// Debian's own may be hidden by another, which has not its modules.
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.Command(path, "-c", "import "+strings.Join(n.modules, ", ")).Run() == nil {
			return path
		}
	}
	t.Skipf("skipped: there is no python3 with %s here: .ci/programs.sh, or apt-get install %s", strings.Join(n.modules, ", "), n.packages)
	return ""
}

// run runs a snippet in dir and compares what it prints.
func (c *snippet) run(t *testing.T, dir, python string, env []string) {
	t.Helper()
	out, errs, err := c.outcome(t, dir, python, env)
	if err != nil || errs != "" || !pattern(c.output).MatchString(out) {
		t.Errorf("%s:%d prints:\n%s%s(%v), want:\n%s", clientsFile, c.line, out, errs, err, c.output)
	}
}

// outcome runs a snippet in dir and returns what it prints and how it ends.
func (c *snippet) outcome(t *testing.T, dir, python string, env []string) (out, errs string, err error) {
	t.Helper()
	program := map[string]string{"sh": "sh", "python": python, "js": "node", "php": "php"}[c.lang]
	ctx, cancel := context.WithTimeout(t.Context(), slack)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, write(t, filepath.Join(dir, languages[c.lang]), c.code))
	var stdout, stderr strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// What the page says of a proxy is about a file that the tests run.
func TestPageHasEveryProxy(t *testing.T) {
	page := read(t, clientsFile)
	for _, file := range proxyFiles {
		if !strings.Contains(page, "(../"+file+")") {
			t.Errorf("%s does not link %s", clientsFile, file)
		}
	}
	for _, p := range proxies {
		if !slices.Contains(proxyFiles, p.file) {
			t.Errorf("%s is run and not read", p.file)
		}
	}
}
