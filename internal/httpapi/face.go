// face.go is what both listeners have in common: a table of calls, answers to
// what is not in it, and panics that stay with one call.

package httpapi

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bucketring/bucketring"
)

// A face serves a table of calls. It is safe for concurrent use once its routes
// are mounted.
type face struct {
	log     *slog.Logger
	guard   bucketring.Guard // nil lets everybody in
	mux     *http.ServeMux
	sites   http.CrossOriginProtection
	writers sync.Pool // of *writer
	counts  counts
	errors  sparse // lines about errors
	panics  sparse // lines about panics
}

type counts struct{ bad, crossSite, unavailable, panics atomic.Uint64 }

// start makes a face ready to be given routes. A nil log means silence.
func (f *face) start(log *slog.Logger, guard bucketring.Guard) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	f.log, f.guard, f.mux = log, guard, http.NewServeMux()
	f.writers.New = func() any { return new(writer) }
}

// ServeHTTP answers one call.
func (f *face) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w := f.writers.Get().(*writer)
	w.ResponseWriter, w.sent = rw, false
	defer f.recovered(w)
	w.Header()["Cache-Control"] = noStore
	if err := f.sites.Check(r); err != nil {
		f.fail(w, r, errCrossSite)
	} else {
		f.mux.ServeHTTP(w, r)
	}
	w.ResponseWriter = nil
	f.writers.Put(w)
}

type route struct {
	method, path string // no method means any
	needs        bucketring.Scope
	serve        http.HandlerFunc
}

// mount registers the routes, for each path the methods that it does not have, and
// what to say of all other paths.
func (f *face) mount(routes []route) {
	methods := map[string][]string{}
	for _, r := range routes {
		pattern := r.path
		if r.method != "" {
			pattern = r.method + " " + r.path
		}
		f.mux.HandleFunc(pattern, f.guarded(r))
		methods[r.path] = append(methods[r.path], r.method)
	}
	paths := make([]string, 0, len(methods))
	for path, allowed := range methods {
		if allowed[0] != "" {
			f.mux.HandleFunc(path, f.wrongMethod(allowed))
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	f.mux.HandleFunc("/", f.notFound(paths))
}

func (f *face) wrongMethod(methods []string) http.HandlerFunc {
	if slices.Contains(methods, "GET") {
		methods = append(methods, "HEAD")
	}
	slices.Sort(methods)
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allow)
		f.fail(w, r, problemf(http.StatusMethodNotAllowed, "this path takes %s", allow))
	}
}

func (f *face) notFound(paths []string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		near := bucketring.Suggest(r.URL.Path, paths)
		if near == "" {
			near = ": the calls are " + strings.Join(paths, ", ")
		}
		f.fail(w, r, problemf(http.StatusNotFound, "there is no such path%s", near))
	}
}

// sameSite guards a call that changes counters although its method is safe: a
// page of another site must not make a browser send it. The check is the one
// that other methods get from net/http.
func (f *face) sameSite(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Sec-Fetch-Site"] != nil || r.Header["Origin"] != nil {
			asPost := *r
			asPost.Method = http.MethodPost
			if f.sites.Check(&asPost) != nil {
				f.fail(w, r, errCrossSite)
				return
			}
		}
		next(w, r)
	}
}
