package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// A porter is a Guard that lets in whoever shows a scope's name as its token: for all
// namespaces, or for one behind an at sign.
type porter struct{}

type admitted struct{}

func (porter) Admit(ctx context.Context, token string) (context.Context, error) {
	name, _, _ := strings.Cut(token, "@")
	if _, err := bucketring.ParseScope(name); err != nil {
		return nil, fmt.Errorf("%w: show a good token", bucketring.ErrUnauthenticated)
	}
	return context.WithValue(ctx, admitted{}, token), nil
}

func (porter) Known(ctx context.Context) error {
	if ctx.Value(admitted{}) == nil {
		return bucketring.ErrUnauthenticated
	}
	return nil
}

func (p porter) May(ctx context.Context, of bucketring.Scope, namespace string) error {
	if err := p.Known(ctx); err != nil {
		return err
	}
	name, only, bound := strings.Cut(ctx.Value(admitted{}).(string), "@")
	scope, _ := bucketring.ParseScope(name)
	if scope&of == 0 || bound && only != namespace {
		return fmt.Errorf("%w: it needs %v", bucketring.ErrForbidden, of)
	}
	return nil
}

// showing shows a token.
func showing(r *http.Request, token string) *http.Request {
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func TestWhoIsLetIn(t *testing.T) {
	h := httpapi.New(httpapi.Config{Limiter: answering(allowed(), nil), Guard: porter{}})
	const target = "/v1/take?key=alice&limit=3/m"
	shown := func(name string, values ...string) *http.Request {
		r := request(target, "")
		r.Header[name] = values
		return r
	}
	for name, c := range map[string]struct {
		r      *http.Request
		status int
	}{
		"a token":                  {shown("Authorization", "Bearer take"), 200},
		"in other case":            {shown("Authorization", "bearer  take"), 200},
		"in the field of ours":     {shown("X-Bucketring-Token", "take"), 200},
		"nothing":                  {request(target, ""), 401},
		"an unknown token":         {shown("Authorization", "Bearer no"), 401},
		"another scheme":           {shown("Authorization", "Basic take"), 401},
		"two":                      {shown("Authorization", "Bearer take", "Bearer take"), 401},
		"two of ours":              {shown("X-Bucketring-Token", "take", "take"), 401},
		"a token without scope":    {shown("Authorization", "Bearer read"), 403},
		"the probe":                {request("/livez", ""), 200},
		"the description":          {request("/openapi.yaml", ""), 200},
		"a path that is not there": {request("/v2", ""), 404},
	} {
		w := serve(h, c.r)
		if w.Code != c.status {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.status)
		}
		if got := w.Header().Get("WWW-Authenticate"); (got == "Bearer") != (c.status == 401) {
			t.Errorf("%s: WWW-Authenticate is %q beside %d", name, got, c.status)
		}
	}
}

// The client of a proxy may have an Authorization of its own, which is not the proxy's.
func TestProxyShowsItsOwnToken(t *testing.T) {
	h := httpapi.New(httpapi.Config{Limiter: answering(allowed(), nil), Guard: porter{}})
	const target = "/v1/forward-auth?namespace=api"
	w := serve(h, showing(request(target, ""), "take"))
	if w.Code != 401 || !strings.Contains(detail(t, w), "X-Bucketring-Token") {
		t.Errorf("with its client's token: %d %s", w.Code, w.Body)
	}
	r := showing(request(target, ""), "of the site")
	r.Header.Set("X-Bucketring-Token", "take")
	r.Header.Set("X-Forwarded-Method", "GET")
	r.Header.Set("X-Forwarded-Uri", "/")
	if w := serve(h, r); w.Code != 404 { // there is no such policy
		t.Errorf("with its own token: %d %s", w.Code, w.Body)
	}
	r.Header.Set("X-Bucketring-Token", "take@other")
	if w := serve(h, r); w.Code != 403 {
		t.Errorf("with a token of another namespace: %d %s", w.Code, w.Body)
	}
}

// One request of a batch that its caller may not make fails alone.
func TestBatchOfTwoTenants(t *testing.T) {
	h := httpapi.New(httpapi.Config{Limiter: answering(allowed(), nil), Guard: porter{}})
	w := serve(h, showing(request("/v1/take/batch", `{"requests":[{"namespace":"a"},{"namespace":"b"},{"key":"k","limit":"3/m"}]}`), "take@a"))
	got := decode[struct {
		Decisions []struct {
			Allowed bool
			Error   struct{ Status int }
		}
	}](t, w.Body)
	if n := got.Decisions; len(n) != 3 || !n[0].Allowed || n[1].Error.Status != 403 || n[2].Error.Status != 403 {
		t.Errorf("the batch comes to %+v", n)
	}
}

// What is not allowed never reaches the Limiter, and lowering a level is no take.
func TestScopesOfBodies(t *testing.T) {
	var reached []bucketring.Verb
	h := httpapi.New(httpapi.Config{Guard: porter{}, Limiter: limiterFunc(
		func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
			reached = append(reached, req.Verb)
			return allowed(), nil
		})})
	for body, allowed := range map[string]string{
		`{"namespace":"a","add":5}`:    "take",
		`{"namespace":"a","add":-5}`:   "adjust",
		`{"namespace":"a","add":-0.5}`: "adjust",
		`{"namespace":"a","set":5}`:    "adjust",
	} {
		for _, scope := range bucketring.ScopeNames() {
			reached = nil
			want := map[bool]int{true: 200, false: 403}[scope == allowed]
			if w := serve(h, showing(request("/v1/level", body), scope)); w.Code != want || (len(reached) == 1) != (want == 200) {
				t.Errorf("%s with %s: %d %s, and %v was decided", body, scope, w.Code, w.Body, reached)
			}
		}
	}
}

func TestGuarded(t *testing.T) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	h := httpapi.Guarded(porter{}, bucketring.ScopeRead|bucketring.ScopeAdmin, inner)
	for token, want := range map[string]int{"read": 204, "admin": 204, "take": 403, "": 401} {
		if w := serve(h, showing(httptest.NewRequest("GET", "/metrics", nil), token)); w.Code != want {
			t.Errorf("with %q: %d %s, want %d", token, w.Code, w.Body, want)
		}
	}
	if w := serve(httpapi.Guarded(nil, bucketring.ScopeRead, inner), request("/metrics", "")); w.Code != 204 {
		t.Errorf("without a guard: %d", w.Code)
	}
}

func TestAdminNoToken401(t *testing.T) {
	h := httpapi.NewAdmin(httpapi.AdminConfig{Admin: &fakeAdmin{}, Guard: porter{}})
	for token, want := range map[string]int{"admin": 200, "read": 403, "take": 403, "adjust": 403, "": 401, "admin@api": 403} {
		if w := serve(h, showing(request("/v1/admin/policies", ""), token)); w.Code != want {
			t.Errorf("with %q: %d %s, want %d", token, w.Code, w.Body, want)
		}
		if w := serve(h, showing(request("/v1/admin/top", ""), token)); w.Code != want && (want != 200 || w.Code != 501) {
			t.Errorf("top with %q: status %d, want %d", token, w.Code, want)
		}
		if w := serve(httpapi.ReloadAlias(h), showing(adminRequest("PUT", "/-/reload", ""), token)); w.Code != want {
			t.Errorf("/-/reload with %q: status %d, want %d", token, w.Code, want)
		}
	}
}

func (porter) Hide(_ context.Context, leases []string, reservation string) ([]string, string) {
	return leases, reservation
}

func (p porter) Reveal(ctx context.Context, ids []string) ([]string, error) {
	return ids, p.May(ctx, bucketring.ScopeTake, "")
}
