// host.go keeps web pages away from a node that knows no tokens.

package httpapi

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Local passes on requests that name this machine: an address of it, or localhost. It is for
// the admin listener of a node without tokens, which is on loopback: a page whose own name
// was made to lead there (DNS rebinding) is of the same origin for a browser, and only its
// name tells it apart.
func Local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !namesLocal(r.Host) {
			writeProblem(w, problemf(http.StatusForbidden, "this listener is asked by its address, or as localhost: no other name leads here without tokens"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func namesLocal(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil {
		return true
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
