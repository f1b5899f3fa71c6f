package gubernatorapi_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/gubernatorapi"
	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
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

// guarded returns a server whose callers over HTTP show their token in a header.
func guarded() *gubernatorapi.Server {
	return server(gubernatorapi.Config{Limiter: immediate{&fake{newWorld(), "a"}}, Access: gubernatorapi.Access{
		Guard: porter{}, Token: func(r *http.Request) string { return r.Header.Get("X-Token") },
	}})
}

// Each item is held to its own scope, and what is refused changes nothing.
func TestItemsNeedScopes(t *testing.T) {
	s := guarded()
	kinds := map[string]func(*pb.RateLimitReq){
		"hit":   func(*pb.RateLimitReq) {},
		"look":  func(r *pb.RateLimitReq) { r.Hits = 0 },
		"back":  func(r *pb.RateLimitReq) { r.Hits = -1 },
		"reset": func(r *pb.RateLimitReq) { r.Hits, r.Behavior = 0, pb.Behavior_RESET_REMAINING },
	}
	for token, may := range map[string]string{"take": "hit look", "read": "", "adjust": "back reset", "admin": "", "take@a": ""} {
		ctx, err := porter{}.Admit(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		m := &pb.GetRateLimitsReq{}
		var names []string
		for name, change := range kinds {
			one := item(token + name)
			change(one)
			m.Requests, names = append(m.Requests, one), append(names, name)
		}
		resp, err := s.GetRateLimits(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			got := resp.GetResponses()[i]
			if allowed := strings.Contains(may, name); (got.GetError() == "") != allowed || !allowed && !strings.Contains(got.GetError(), "forbidden") {
				t.Errorf("%s with %s: %v, want allowed to be %v", name, token, got, allowed)
			}
		}
	}
}

func TestHTTPNeedsAToken(t *testing.T) {
	s := guarded()
	const body = `{"requests":[{"name":"n","unique_key":"k","hits":"1","limit":"10","duration":"60000"}]}`
	for _, c := range []struct {
		method, path, token string
		status              int
		says                string
	}{
		{"POST", "/v1/GetRateLimits", "take", 200, `"error":""`},
		{"POST", "/v1/GetRateLimits", "read", 200, "forbidden"},
		{"POST", "/v1/GetRateLimits", "", 401, `"code":16`},
		{"GET", "/v1/HealthCheck", "read", 200, "healthy"},
		{"GET", "/v1/HealthCheck", "take", 403, `"code":7`},
		{"GET", "/v1/HealthCheck", "", 401, `"code":16`},
		{"GET", "/v1/LiveCheck", "", 200, "{}"},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(body))
		r.Header.Set("X-Token", c.token)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s with %q: %d %s, want %d, %s", c.path, c.token, w.Code, w.Body, c.status, c.says)
		}
		if got := w.Header().Get("WWW-Authenticate"); (got == "Bearer") != (c.status == 401) {
			t.Errorf("%s with %q: WWW-Authenticate is %q", c.path, c.token, got)
		}
	}
	// Over gRPC somebody else admits: who was not is nobody.
	if _, err := s.HealthCheck(t.Context(), nil); status.Code(err) != codes.Unauthenticated {
		t.Errorf("HealthCheck of nobody: %v", err)
	}
}

func (porter) Hide(_ context.Context, leases []string, reservation string) ([]string, string) {
	return leases, reservation
}

func (porter) Reveal(_ context.Context, ids []string) ([]string, error) {
	return ids, nil
}
