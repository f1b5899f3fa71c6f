// routes.go is the table of calls, and answers those that are not in it.

package httpapi

import (
	"net/http"
	"slices"
	"strings"

	"github.com/bucketring/bucketring"
)

type route struct {
	method, path string
	serve        http.HandlerFunc
}

// routes lists the calls that work.
func (h *Handler) routes() []route {
	return []route{
		{"POST", "/v1/take", h.post(bucketring.VerbTake)},
		{"GET", "/v1/take", h.sameSite(h.get(bucketring.VerbTake))},
		{"POST", "/v1/take/batch", h.batch},
		{"POST", "/v1/peek", h.post(bucketring.VerbPeek)},
		{"GET", "/v1/peek", h.sameSite(h.get(bucketring.VerbPeek))},
		{"POST", "/v1/refund", h.post(bucketring.VerbRefund)},
		{"POST", "/v1/reset", h.post(bucketring.VerbReset)},
		{"GET", "/v1/members", h.members},
		{"GET", "/v1/ring", h.ring},
		{"GET", "/v1/explain", h.explain},
	}
}

// later lists the calls of the API that do not work yet, and what they wait for.
var later = []struct{ path, what string }{
	{"/v1/renew", "concurrency limits"},
	{"/v1/release", "concurrency limits"},
	{"/v1/settle", "costs that are settled after the work"},
	{"/v1/level", "level quotas"},
	{"/v1/usage", "policies"},
	{"/v1/forward-auth", "policies"},
}

// mount registers every path, and for each the methods that it does not have.
func (h *Handler) mount() {
	methods := map[string][]string{}
	for _, r := range h.routes() {
		h.mux.HandleFunc(r.method+" "+r.path, r.serve)
		methods[r.path] = append(methods[r.path], r.method)
	}
	for _, p := range probePaths {
		methods[p.path] = []string{"GET"}
	}
	paths := make([]string, 0, len(methods))
	for path, allowed := range methods {
		h.mux.HandleFunc(path, h.wrongMethod(allowed))
		if strings.HasPrefix(path, "/v1/") {
			paths = append(paths, path)
		}
	}
	for _, l := range later {
		h.mux.HandleFunc(l.path, h.notYet(l.path, l.what))
	}
	slices.Sort(paths)
	h.mux.HandleFunc("/", h.notFound(paths))
}

func (h *Handler) wrongMethod(methods []string) http.HandlerFunc {
	if slices.Contains(methods, "GET") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(methods)
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		h.fail(w, r, problemf(http.StatusMethodNotAllowed, "this path takes %s", allow))
	}
}

func (h *Handler) notYet(path, what string) http.HandlerFunc {
	missing := problemf(http.StatusNotImplemented, "%s needs %s, which this version does not have", path, what)
	return func(w http.ResponseWriter, r *http.Request) { h.fail(w, r, missing) }
}

func (h *Handler) notFound(paths []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		near := bucketring.Suggest(r.URL.Path, paths)
		if near == "" {
			near = ": the calls are " + strings.Join(paths, ", ")
		}
		h.fail(w, r, problemf(http.StatusNotFound, "there is no such path%s", near))
	}
}

// sameSite guards a call that changes counters although its method is safe: a
// page of another site must not make a browser send it. The check is the one
// that other methods get from net/http.
func (h *Handler) sameSite(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Sec-Fetch-Site"] != nil || r.Header["Origin"] != nil {
			asPost := *r
			asPost.Method = http.MethodPost
			if h.sites.Check(&asPost) != nil {
				h.fail(w, r, errCrossSite)
				return
			}
		}
		next(w, r)
	}
}
