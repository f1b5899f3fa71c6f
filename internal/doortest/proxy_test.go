// proxy_test.go says what a proxy must do that asks before it passes a request on,
// whichever it is.

package doortest_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A proxy is a program with a file of deploy/.
type proxy struct {
	program, pkg string
	file         string // below the root, with the addresses below
	// Texts of the file that stand for the addresses of the limiter, the application
	// and the proxy itself, and for one more port of its own, if it has one.
	limiter, application, self, free string
	// namespace is how the file names the policy, "site".
	namespace string
	// launch starts the program with a configuration that has real addresses, in an
	// empty folder.
	launch func(t *testing.T, path, dir, config string) *process
	// closed makes the configuration refuse requests while the limiter is away, as
	// its comments say, and status is what a client gets then.
	closed func(t *testing.T, config string) string
	status int
	// ownWords: an answer of the limiter is not passed on, the file has its own.
	ownWords bool
}

// edit replaces a text that must be there.
func edit(t *testing.T, text, old, fresh string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("the configuration has no %q any more", old)
	}
	return strings.ReplaceAll(text, old, fresh)
}

// start runs the proxy and returns where it is. change edits its configuration.
func (p *proxy) start(t *testing.T, limiter, application string, change func(*testing.T, string) string) (base string) {
	t.Helper()
	path := find(t, p.program, p.pkg)
	config, self := read(t, p.file), freeAddr(t)
	if change != nil {
		config = change(t, config)
	}
	config = edit(t, config, p.limiter, limiter)
	config = edit(t, config, p.application, application)
	// Caddy names a port and the address that it binds apart.
	config = edit(t, config, p.self, p.self[:strings.LastIndexByte(p.self, ':')]+":"+port(self))
	if p.free != "" && strings.Contains(config, p.free) {
		config = edit(t, config, p.free, ":"+port(freeAddr(t)))
	}
	running := p.launch(t, path, t.TempDir(), config)
	await(t, func() error {
		c, err := net.Dial("tcp", self)
		if err == nil {
			_ = c.Close()
		}
		return err
	}, running)
	return "http://" + self
}

func port(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// An application is what stands behind the proxy.
type application struct {
	*httptest.Server

	mu   sync.Mutex
	from map[string]int         // requests by user; guarded by mu
	last map[string]http.Header // of each user's last request; guarded by mu
}

// fields returns the header of a user's last request.
func (a *application) fields(user string) http.Header {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.last[user]
}

// seen returns how many requests of a user have come through.
func (a *application) seen(user string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.from[user]
}

func newApplication(t *testing.T) *application {
	a := &application{from: map[string]int{}, last: map[string]http.Header{}}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.from[r.Header.Get("X-User")]++
		a.last[r.Header.Get("X-User")] = r.Header
		a.mu.Unlock()
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Application", "here")
		if strings.HasPrefix(r.URL.Path, "/refused") {
			w.WriteHeader(http.StatusForbidden)
		}
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.RequestURI(), len(body))
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *application) addr() string { return strings.TrimPrefix(a.URL, "http://") }

// An answer is what a client gets from the proxy.
type answer struct {
	status int
	header http.Header
	body   string
}

// uncounted reports whether a request passed without a word of the limiter.
func (a answer) uncounted() bool {
	return a.status == http.StatusOK && a.header.Get("X-RateLimit-Limit") == ""
}

// A guest asks one proxy.
type guest struct {
	t    *testing.T
	base string
	web  *http.Client
	app  *application
	user string // of the last series
}

// ask sends one request; fields are headers, name and value in turn.
func (g *guest) ask(method, path, body string, fields ...string) answer {
	g.t.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.base+path, in)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := g.web.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(all)}
}

// users numbers those who ask, so that no two tests share a counter.
var users atomic.Int64

// heard asks until the limiter has been heard. On a busy machine it may be slower than
// a proxy waits for it, and a proxy may then leave it alone for a second.
func (g *guest) heard(ask func() (ok bool)) {
	g.t.Helper()
	await(g.t, func() error {
		if ask() {
			return nil
		}
		return errors.New("the limiter is not asked, or always too slow")
	})
}

// counted sends the same request n times as a user of its own, and begins again as
// another one if the limiter is not heard.
func (g *guest) counted(n int, method, path, body string, fields ...string) (all []answer) {
	g.t.Helper()
	g.heard(func() bool {
		all = all[:0]
		g.user = fmt.Sprint("user", users.Add(1))
		as := append([]string{"X-User", g.user}, fields...)
		for range n {
			a := g.ask(method, path, body, as...)
			if a.uncounted() {
				return false
			}
			all = append(all, a)
		}
		return true
	})
	return all
}

// refused sends a request that must not pass uncounted, until the limiter is heard.
func (g *guest) refused(method, path, body string, fields ...string) (a answer) {
	g.t.Helper()
	g.heard(func() bool {
		a = g.ask(method, path, body, fields...)
		return !a.uncounted()
	})
	return a
}

// checkRate holds the rate headers against what a bucket of an hour has left.
func checkRate(t *testing.T, a answer, limit, remaining int) {
	t.Helper()
	for _, h := range []struct {
		name string
		want int
	}{{"X-RateLimit-Limit", limit}, {"X-RateLimit-Remaining", remaining}} {
		if got := a.header.Values(h.name); len(got) != 1 || got[0] != strconv.Itoa(h.want) {
			t.Errorf("%s = %q, want %d", h.name, got, h.want)
		}
	}
	reset, err := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64)
	if now := time.Now().Unix(); err != nil || reset < now || reset > now+3601 {
		t.Errorf("X-RateLimit-Reset = %q, want a moment of the next hour", a.header.Get("X-RateLimit-Reset"))
	}
}

// testProxy runs all that every proxy must do.
func testProxy(t *testing.T, p *proxy) {
	t.Helper()
	policies := filepath.Join("testdata", "policies")
	n, app := startNode(t, "--policies", policies, "--forward-budget", "5s"), newApplication(t)
	web := &http.Client{Timeout: slack, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(web.CloseIdleConnections)
	base := p.start(t, n.doors["http"], app.addr(), nil)
	for _, tt := range []struct {
		name string
		test func(*guest, *proxy)
	}{
		{"admitted", (*guest).admitted}, {"denied", (*guest).denied}, {"other refusals", (*guest).otherRefusals},
		{"uncounted", (*guest).uncountedPaths}, {"spoofed", (*guest).spoofed}, {"unreadable", (*guest).unreadable},
		{"method", (*guest).method},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(&guest{t: t, base: base, web: web, app: app}, p) })
	}
	t.Run("drafts", func(t *testing.T) {
		base := p.start(t, n.doors["http"], app.addr(), func(t *testing.T, config string) string {
			return edit(t, config, p.namespace, strings.Replace(p.namespace, "site", "drafts", 1))
		})
		(&guest{t: t, base: base, web: web, app: app}).drafts(p)
	})
	n.kill()
	t.Run("limiter is gone", func(t *testing.T) {
		checkOpen(&guest{t: t, base: base, web: web, app: app})
	})
	t.Run("limiter hangs", func(t *testing.T) {
		checkOpen(&guest{t: t, base: p.start(t, hanging(t), app.addr(), nil), web: web, app: app})
	})
	t.Run("closed while the limiter is gone", func(t *testing.T) {
		base := p.start(t, freeAddr(t), app.addr(), p.closed)
		if a := (&guest{t: t, base: base, web: web, app: app}).ask("GET", "/api/things", "", "X-User", "refused"); a.status != p.status {
			t.Errorf("status %d, want %d", a.status, p.status)
		}
		if app.seen("refused") > 0 {
			t.Error("the application was reached without leave")
		}
	})
}

// hanging returns an address where connections are taken and nothing is said.
func hanging(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l.Addr().String() // the system takes connections though nobody accepts them
}

// checkOpen wants requests to pass without a word of the limiter.
func checkOpen(g *guest) {
	g.t.Helper()
	for i := range 5 {
		a := g.ask("POST", "/api/things?n=1", "some text", "X-User", "nobody")
		if a.body != "POST /api/things?n=1 9" || !a.uncounted() {
			g.t.Errorf("request %d = %d %q with limit %q, want what the application says", i+1, a.status, a.body, a.header.Get("X-RateLimit-Limit"))
		}
	}
}
