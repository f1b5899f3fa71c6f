// proxy_cases_test.go has what clients see through a proxy. The policy is
// testdata/policies/site.yaml.

package doortest_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// admitted: the application's answer, and what is left.
func (g *guest) admitted(*proxy) {
	for i, a := range g.counted(3, "POST", "/api/things?n=1", "some text") {
		if a.status != 200 || a.body != "POST /api/things?n=1 9" || a.header.Get("X-Application") != "here" {
			g.t.Errorf("request %d = %d %q, want the application's answer", i+1, a.status, a.body)
		}
		checkRate(g.t, a, 3, 2-i)
		if wait := a.header.Get("Retry-After"); wait != "" {
			g.t.Errorf("request %d has Retry-After %q, though it was admitted", i+1, wait)
		}
	}
}

// denied: the policy's refusal with the time to wait, and no work for the application.
func (g *guest) denied(p *proxy) {
	all := g.counted(5, "GET", "/api/things", "")
	if n := g.app.seen(g.user); n != 3 {
		g.t.Errorf("the application has seen %d requests of 5, want 3", n)
	}
	for i, a := range all[3:] {
		if a.status != 429 || a.header.Get("X-Application") != "" {
			g.t.Errorf("request %d = %d, want 429", i+4, a.status)
		}
		checkRate(g.t, a, 3, 0)
		wait, err := strconv.Atoi(a.header.Get("Retry-After"))
		if err != nil || wait < 1 || wait > 1200 {
			g.t.Errorf("Retry-After = %q, want 1 to 1200", a.header.Get("Retry-After"))
		}
		want := fmt.Sprintf(`{"error":"slow_down","wait":%d}`, wait)
		if p.ownWords {
			want = problemText("https://iana.org/assignments/http-problem-types#quota-exceeded", "Rate limit exceeded", 429,
				fmt.Sprintf("try again in %d seconds", wait))
		}
		g.checkRefusal(a, p, want)
		if v := a.header.Get("X-RateLimit-Status"); v != "" {
			g.t.Errorf("the client sees X-RateLimit-Status %q, which is between proxy and limiter", v)
		}
	}
}

func problemText(kind, title string, status int, detail string) string {
	text := fmt.Sprintf(`{"type":%q,"title":%q,"status":%d`, kind, title, status)
	if detail != "" {
		text += fmt.Sprintf(`,"detail":%q`, detail)
	}
	return text + "}"
}

// checkRefusal holds body and type of a refusal against what is wanted.
func (g *guest) checkRefusal(a answer, p *proxy, want string) {
	g.t.Helper()
	kind := "application/json"
	if p.ownWords {
		kind = "application/problem+json"
	}
	if got := strings.TrimSpace(a.body); got != want || !json.Valid([]byte(a.body)) {
		g.t.Errorf("body = %s, want %s", got, want)
	}
	if got := a.header.Values("Content-Type"); len(got) != 1 || got[0] != kind {
		g.t.Errorf("Content-Type = %q, want %s", got, kind)
	}
	if got := a.header.Get("Cache-Control"); got != "no-store" {
		g.t.Errorf("Cache-Control = %q, want no-store", got)
	}
}

// otherRefusals have their own status and no time to wait.
func (g *guest) otherRefusals(p *proxy) {
	large := strings.Repeat("x", 1001)
	for _, tt := range []struct {
		method, path, body string
		status             int
		title, words       string // of the file, and of the policy
	}{
		{"GET", "/closed/room", "", 403, "Forbidden", `{"error":"closed"}`},
		{"POST", "/upload", large, 413, "Content Too Large", `{"error":"slow_down","wait":null}`},
	} {
		a := g.refused(tt.method, tt.path, tt.body)
		if a.status != tt.status || a.header.Get("Retry-After") != "" {
			g.t.Errorf("%s %s = %d with Retry-After %q, want %d and none", tt.method, tt.path, a.status, a.header.Get("Retry-After"), tt.status)
		}
		want := tt.words
		if p.ownWords {
			want = problemText("about:blank", tt.title, tt.status, "")
		}
		g.checkRefusal(a, p, want)
	}
}

// uncountedPaths are those that no limit is for, and what the application refuses.
func (g *guest) uncountedPaths(*proxy) {
	if a := g.ask("GET", "/home", ""); a.body != "GET /home 0" || !a.uncounted() {
		g.t.Errorf("GET /home = %d %q, want it to pass without rate headers", a.status, a.body)
	}
	if a := g.ask("POST", "/upload", strings.Repeat("x", 1000)); a.body != "POST /upload 1000" {
		g.t.Errorf("a body of just the size = %d %q, want it to pass", a.status, a.body)
	}
	a := g.ask("GET", "/refused", "")
	if a.status != 403 || a.body != "GET /refused 0" || a.header.Get("X-Application") != "here" {
		g.t.Errorf("GET /refused = %d %q, want the application's own 403", a.status, a.body)
	}
}

// spoofed: what a client says in the proxy's name counts for nothing.
func (g *guest) spoofed(*proxy) {
	all := g.counted(4, "POST", "/api/things", "text", "X-Forwarded-Uri", "/home", "X-Forwarded-Method", "GET",
		"X-Original-Uri", "/home", "X-Forwarded-Content-Length", "0")
	if all[3].status != 429 {
		g.t.Errorf("the fourth request that calls itself another = %d, want 429", all[3].status)
	}
	if a := g.refused("POST", "/upload", strings.Repeat("x", 1001), "X-Forwarded-Content-Length", "1"); a.status != 413 {
		g.t.Errorf("a large body that calls itself small = %d, want 413", a.status)
	}
	if a := g.ask("GET", "/upload", "", "X-Forwarded-Content-Length", "5000"); a.status != 200 {
		g.t.Errorf("a GET that calls itself large = %d, want it to pass: it has no body", a.status)
	}
	n := 0
	g.heard(func() bool { // three pass at most, and one more for each time that the limiter is not heard
		n++
		return g.ask("GET", "/by-address", "", "X-Forwarded-For", fmt.Sprintf("10.1.%d.%d", n/256, n%256)).status == 429
	})
}

// unreadable: what no policy can read is the client's mistake, not the site's.
func (g *guest) unreadable(p *proxy) {
	a := g.refused("GET", "/api/things", "", "X-User", strings.Repeat("long", 200))
	if a.status != 400 || a.header.Get("Content-Type") != "application/problem+json" {
		g.t.Errorf("a user of 800 bytes = %d %q, want 400 and a problem", a.status, a.header.Get("Content-Type"))
	}
}

// method: the limiter hears the client's method and query, not those of the question.
func (g *guest) method(*proxy) {
	all := g.counted(2, "DELETE", "/things/1?q=a%20b", "")
	if all[0].status != 200 || all[0].body != "DELETE /things/1?q=a%20b 0" || all[1].status != 429 {
		g.t.Errorf("two DELETEs with a limit of one = %d %q and %d, want 200 and 429", all[0].status, all[0].body, all[1].status)
	}
	first := g.counted(2, "GET", "/tagged?tag=a%20b", "")
	other := g.ask("GET", "/tagged?tag=b", "", "X-User", g.user)
	if first[0].status != 200 || first[1].status != 429 || other.status != 200 {
		g.t.Errorf("two GETs of a tag and one of another = %d, %d, %d, want 200, 429, 200", first[0].status, first[1].status, other.status)
	}
	if a := g.ask("GET", "/things/1", ""); !a.uncounted() {
		g.t.Errorf("a GET of it = %d, want it to pass uncounted", a.status)
	}
}

// drafts: a policy that also has the fields of the IETF's draft, which are lists.
func (g *guest) drafts(*proxy) {
	for i, a := range g.counted(4, "GET", "/api/things", "") {
		left := max(2-i, 0)
		checkRate(g.t, a, 3, left)
		policy, state := a.header.Values("RateLimit-Policy"), a.header.Values("RateLimit")
		if want := `"calls";q=3;w=3600, "per-day";q=500;w=86400`; len(policy) != 1 || policy[0] != want {
			g.t.Errorf("request %d has RateLimit-Policy %q, want %s", i+1, policy, want)
		}
		if want := fmt.Sprintf(`"calls";r=%d;t=`, left); len(state) != 1 || !strings.HasPrefix(state[0], want) || !strings.Contains(state[0], `"per-day";r=`) {
			g.t.Errorf("request %d has RateLimit %q, want %s… and the other one", i+1, state, want)
		}
	}
}
