// forward.go answers proxies that ask before they pass a request on.

package httpapi

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// Header fields of forward-auth, as we write them.
const (
	leasesField      = "X-Bucketring-Leases"
	reservationField = "X-Bucketring-Reservation"
	statusField      = "X-RateLimit-Status"
)

// forwardFields are the parameters of forward-auth.
var forwardFields = []string{"namespace", "deny", "length"}

// A forward is what a proxy asks.
type forward struct {
	namespace string
	deny      int // status of every refusal; 0 for the policy's own
	in        policy.HTTPRequest
}

// forwardAuth serves /v1/forward-auth: 200 and no body, or the policy's refusal.
func (h *Handler) forwardAuth(w http.ResponseWriter, r *http.Request) {
	f, err := readForward(r)
	if err == nil {
		err = h.may(r.Context(), &bucketring.Request{Namespace: f.namespace})
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	set := h.policies()
	p, err := set.Policy(f.namespace)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	// The application answers this one itself, and it costs nothing.
	if method, path := p.UsagePath(); path != "" && method == f.in.Method && path == f.in.Path {
		w.WriteHeader(http.StatusOK)
		return
	}
	req := bucketring.Request{Namespace: f.namespace, Attributes: p.Identify(set, &f.in, nil), Cost: 1}
	d, err := h.limiter.Take(r.Context(), req)
	switch {
	case err != nil:
		h.failRequest(w, r, &req, err)
	case refused(&d):
		h.fail(w, r, ownerAway(&d))
	default:
		h.hide(r.Context(), &d)
		h.countStatus(sendForward(w, &f, &d))
	}
}

// sendForward answers the proxy and returns the status.
func sendForward(w http.ResponseWriter, f *forward, d *bucketring.Decision) (status int) {
	header := w.Header()
	setFields(header, d)
	if d.Allowed {
		if len(d.Leases) > 0 {
			header[leasesField] = []string{strings.Join(d.Leases, ",")}
		}
		if d.Reservation != "" {
			header[reservationField] = []string{d.Reservation}
		}
		w.WriteHeader(http.StatusOK)
		return http.StatusOK
	}
	status = refusalStatus(d)
	if f.deny != 0 {
		header[statusField] = []string{strconv.Itoa(status)}
		status = f.deny
	}
	var body []byte
	if d.Response != nil {
		body = d.Response.Body
		for _, h := range d.Response.Headers {
			if h.Name == "Content-Type" {
				header[h.Name] = []string{h.Value}
			}
		}
	}
	w.WriteHeader(status)
	// Nobody is left to tell if this fails.
	_, _ = w.Write(body)
	return status
}

// readForward reads what a proxy asks. Its X-Forwarded fields are believed, so
// two of one kind, of which one may be the client's, are refused.
func readForward(r *http.Request) (f forward, err error) {
	values, err := parameters(r.URL.RawQuery, forwardFields)
	if err != nil {
		return f, err
	}
	f.namespace = values[0].text
	f.in = policy.HTTPRequest{Header: r.Header, Length: -1}
	switch deny, length := values[1], values[2]; {
	case f.namespace == "":
		return f, bucketring.Invalidf("namespace is missing: name the policy in the query, such as ?namespace=api")
	case deny.given && deny.text != "401" && deny.text != "403":
		return f, bucketring.Invalidf("deny must be 401 or 403, for a proxy that knows no other refusal")
	case length.given && length.text != "0" && length.text != "1":
		return f, bucketring.Invalidf("length must be 1 to believe X-Forwarded-Content-Length, or 0")
	case deny.given:
		f.deny, _ = strconv.Atoi(deny.text)
	}
	if err := checkNamespace(f.namespace); err != nil {
		return f, err
	}
	if f.in.Method, err = forwarded(r, "X-Forwarded-Method"); err != nil {
		return f, err
	}
	uri, err := forwarded(r, "X-Forwarded-Uri")
	if err != nil {
		return f, err
	}
	f.in.Path, f.in.Query = splitURI(uri)
	if peer, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		f.in.Peer = peer.Addr()
	}
	if values[2].text == "1" {
		f.in.Length, err = forwardedLength(r)
	}
	return f, err
}

// forwarded returns a field that the proxy must send.
func forwarded(r *http.Request, name string) (string, error) {
	switch all := r.Header[name]; {
	case len(all) > 1:
		return "", bucketring.Invalidf("%s is given twice: let the proxy replace what its client sends", name)
	case len(all) == 0 || all[0] == "":
		return "", bucketring.Invalidf("%s is missing: let the proxy send it", name)
	default:
		return all[0], nil
	}
}

// forwardedLength returns the length of the body that the client announced, -1 if
// it announced none.
func forwardedLength(r *http.Request) (int64, error) {
	const name = "X-Forwarded-Content-Length"
	if all := r.Header[name]; len(all) == 0 || len(all) == 1 && all[0] == "" {
		return -1, nil
	}
	text, err := forwarded(r, name)
	if err != nil {
		return -1, err
	}
	length, err := whole(name, text)
	if err == nil && length < 0 {
		err = bucketring.Invalidf("%s is negative: let the proxy replace what its client sends", name)
	}
	return length, err
}

// splitURI returns the path and the query of what a client asked its proxy for,
// which may have named the site too, as clients of proxies do.
func splitURI(uri string) (path, query string) {
	path, query, _ = strings.Cut(uri, "?")
	if path == "" || path[0] == '/' {
		return path, query
	}
	if _, rest, ok := strings.Cut(path, "://"); ok {
		path = "/"
		if at := strings.IndexByte(rest, '/'); at >= 0 {
			path = rest[at:]
		}
	}
	return path, query
}
