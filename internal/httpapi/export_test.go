package httpapi

import "net/http"

// What the tests look at from inside.
var (
	DecodeRequest = decodeRequest
	QueryRequest  = queryRequest
	AppendString  = appendString
	AppendSeconds = appendSeconds
	DecodeLeases  = decodeLeases
	DecodeSettle  = decodeSettle
	DecodeLevel   = decodeLevel
	DecodeRows    = decodeRows
	Amount        = amount
)

const MaxBody = maxBody

// Routes lists the calls of both listeners, as "METHOD path"; the probes have two
// names that count, and others that are theirs too.
func Routes(h *Handler, of http.Handler) (all []string) {
	calls := append(h.routes(), of.(*admin).routes()...)
	for _, p := range probePaths {
		if p.path == "/livez" || p.path == "/readyz" {
			calls = append(calls, route{"GET", p.path, nothing, nil})
		}
	}
	for _, r := range calls {
		if r.method == "" { // any method: one stands for all
			r.method = "GET"
		}
		all = append(all, r.method+" "+r.path)
	}
	return all
}
