package httpapi

import (
	"net/http"
)

// A Check is one condition of this process's own health. A peer's trouble, or
// what a caller sent, is not one.
type Check struct {
	// Name is one or two words, such as "ring" or "handover".
	Name string
	// Err says why the check fails; nil if it passes.
	Err error
	// Live lets a failure fail /livez too: the process should be restarted.
	// Others fail /readyz only: the node should get no new calls.
	Live bool
}

// Health answers the probes: plain text, 200 or 503. The zero value is always
// live and ready. It is safe for concurrent use if Checks is.
type Health struct {
	// Checks returns the conditions as they are now. It must be quick and must
	// not wait for other nodes. Nil means none.
	Checks func() []Check
}

// probePaths says which probe asks for liveness only.
var probePaths = []struct {
	path string
	live bool
}{
	{"/livez", true},
	{"/healthz", true},
	{"/-/healthy", true},
	{"/readyz", false},
	{"/-/ready", false},
}

// Register mounts the probes on mux: /livez and its other names /healthz and
// /-/healthy, /readyz and its other name /-/ready. With ?verbose they list
// every check.
func (h *Health) Register(mux *http.ServeMux) {
	for _, p := range probePaths {
		mux.HandleFunc("GET "+p.path, h.probe(p.live))
	}
}

// ReloadAlias returns a handler for /-/reload, which tools for Prometheus know: there POST and
// PUT are POST /v1/admin/reload of admin, the handler of NewAdmin, with all that it asks of
// callers.
func ReloadAlias(admin http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		alias, target := *r, *r.URL
		target.Path, target.RawPath = "/v1/admin/reload", ""
		if alias.URL = &target; r.Method == http.MethodPut {
			alias.Method = http.MethodPost
		}
		admin.ServeHTTP(w, &alias)
	})
}

func (h *Health) probe(live bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		status, text := h.report(live, r.URL.Query().Has("verbose"))
		header := w.Header()
		header["Cache-Control"] = noStore
		header["Content-Type"] = plainText
		w.WriteHeader(status)
		// Nobody is left to tell if this fails.
		_, _ = w.Write([]byte(text))
	}
}

// report runs the checks that count and says how they went: "ok", or the failed
// ones; every one if verbose.
func (h *Health) report(live, verbose bool) (status int, text string) {
	status = http.StatusOK
	var checks []Check
	if h.Checks != nil {
		checks = h.Checks()
	}
	for _, c := range checks {
		switch {
		case live && !c.Live:
			continue
		case c.Err != nil:
			status = http.StatusServiceUnavailable
			text += "[-] " + c.Name + ": " + c.Err.Error() + "\n"
		case verbose:
			text += "[+] " + c.Name + "\n"
		}
	}
	if status == http.StatusOK {
		text += "ok\n"
	}
	return status, text
}
