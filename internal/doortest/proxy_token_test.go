// proxy_token_test.go has proxies ask a node that wants a token.

package doortest_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// tokenLine is what clients.md says that a proxy needs to show a token.
func (p *proxy) tokenLine(t *testing.T) string {
	t.Helper()
	row := regexp.MustCompile("(?mi)^\\| " + p.program + " \\| `([^`]*TOKEN[^`]*)`")
	found := row.FindAllStringSubmatch(read(t, clientsFile), -1)
	if len(found) != 1 {
		t.Fatalf("%s has %d rows with a token for %s, want 1", clientsFile, len(found), p.program)
	}
	return found[0][1]
}

// showing takes the mark off the line with the token.
func (p *proxy) showing(token string) func(*testing.T, string) string {
	return func(t *testing.T, config string) string {
		line := p.tokenLine(t)
		return edit(t, config, "# "+line, strings.Replace(line, "TOKEN", token, 1))
	}
}

// What the page says stands in each file, as a comment.
func TestProxyFilesHaveTheLineOfTheToken(t *testing.T) {
	for _, p := range proxies {
		if line := p.tokenLine(t); strings.Count(read(t, p.file), "# "+line+"\n") != 1 {
			t.Errorf("%s does not have the comment %q once", p.file, line)
		}
	}
}

// newToken has the program write a token of scope take into a file.
func newToken(t *testing.T, file, id string, flags ...string) string {
	t.Helper()
	cmd := exec.Command(binary(t), append([]string{"token", "add", file, id, "--scope", "take"}, flags...)...)
	var errs bytes.Buffer
	cmd.Env, cmd.Stderr = cleanEnv(), &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("token add: %v:\n%s", err, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// A proxy with a token asks as one without does where none is wanted. What its client shows
// counts for nothing, and the application does not get to know the token.
func TestProxiesShowTokens(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens.yaml")
	good, elsewhere := newToken(t, file, "proxy", "--namespace", "site"), newToken(t, file, "other", "--namespace", "drafts")
	n := startNode(t, "--policies", filepath.Join("testdata", "policies"), "--tokens-file", file, "--forward-budget", "5s")
	web := &http.Client{Timeout: slack}
	t.Cleanup(web.CloseIdleConnections)
	for _, p := range proxies {
		t.Run(p.program, func(t *testing.T) {
			app := newApplication(t)
			ask := func(change func(*testing.T, string) string) *guest {
				return &guest{t: t, base: p.start(t, n.doors["http"], app.addr(), change), web: web, app: app}
			}
			ask(p.showing(good)).withToken(good, elsewhere)
			ask(nil).refusedAll("none", 401)
			ask(p.showing("wrong")).refusedAll("a wrong one", 401)
			ask(p.showing(elsewhere)).refusedAll("one for another namespace", 403)
		})
	}
}

// withToken: three pass, whatever the client shows, and then none.
func (g *guest) withToken(good, elsewhere string) {
	g.t.Helper()
	all := g.counted(5, "GET", "/api/things", "", "X-Bucketring-Token", elsewhere, "Authorization", "Bearer "+elsewhere)
	for i, a := range all {
		if want := map[bool]int{true: 200, false: 429}[i < 3]; a.status != want {
			g.t.Errorf("request %d = %d %s, want %d", i+1, a.status, a.body, want)
		}
		checkRate(g.t, a, 3, max(2-i, 0))
	}
	got := g.app.fields(g.user)
	if got.Get("Authorization") != "Bearer "+elsewhere {
		g.t.Errorf("the application is shown %q, want what its client has shown", got.Get("Authorization"))
	}
	for name, values := range got {
		if strings.Contains(strings.Join(values, " "), good) {
			g.t.Errorf("the application gets the proxy's token, in %s", name)
		}
	}
}

// refusedAll: nobody passes, and the application has no work.
func (g *guest) refusedAll(shown string, status int) {
	g.t.Helper()
	user := fmt.Sprint("refused", users.Add(1))
	a := g.refused("GET", "/home", "", "X-User", user)
	if a.status != status || g.app.seen(user) > 0 {
		g.t.Errorf("with %s: status %d, and the application has seen %d requests, want %d and none", shown, a.status, g.app.seen(user), status)
	}
}
