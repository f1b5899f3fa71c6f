// request.go says what to ask for a request.

package httplimit

import (
	"maps"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// A KeyFunc tells callers apart. Those without a key, the empty text, share one; a key
// that is longer than bucketring.MaxKeyLen is replaced by its hash.
type KeyFunc func(r *http.Request) string

// Key returns a Config.Request that counts each caller against limits, at a cost of 1.
// It panics if the limits are not valid.
func Key(limits []bucketring.Limit, key KeyFunc) func(*http.Request) (bucketring.Request, bool) {
	sample := bucketring.Request{Key: "any", Limits: limits}
	if err := sample.Validate(); err != nil {
		panic("httplimit: " + err.Error())
	}
	return func(r *http.Request) (bucketring.Request, bool) {
		return bucketring.Request{Key: client.AnyKey(key(r)), Limits: limits, Cost: 1}, true
	}
}

// RemoteIP is the key of callers who connect directly: their address, of IPv6 the /64.
func RemoteIP(r *http.Request) string { return client.AddrKey(remote(r)) }

// ForwardedIP returns the key of callers who come through proxies: the last address in
// X-Forwarded-For that is none of the trusted ones, if the connection is from one of
// these. What stands further left anybody may have written. Of IPv6 the /64 counts.
func ForwardedIP(trusted ...netip.Prefix) KeyFunc {
	trusts := func(addr netip.Addr) bool {
		for _, hops := range trusted {
			if hops.Contains(addr) {
				return true
			}
		}
		return false
	}
	return func(r *http.Request) string {
		addr := remote(r)
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for i := len(hops) - 1; i >= 0 && trusts(addr); i-- {
			hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
			if err != nil {
				break // nobody vouches for what stands further left
			}
			addr = hop.Unmap()
		}
		return client.AddrKey(addr)
	}
}

// remote returns the other end of the connection, the zero Addr if it has no address.
func remote(r *http.Request) netip.Addr {
	peer, _ := netip.ParseAddrPort(r.RemoteAddr)
	return peer.Addr().Unmap()
}

// Header returns the key that a header has. Use it behind something that checks the
// header, or callers choose their keys; and Hashed around it for a secret.
func Header(name string) KeyFunc {
	return func(r *http.Request) string { return r.Header.Get(name) }
}

// Hashed returns the SHA-256 of a key, in hexadecimal: for secrets, which must not be
// seen where keys are shown.
func Hashed(key KeyFunc) KeyFunc {
	return func(r *http.Request) string { return client.HashKey(key(r)) }
}

// maxRequestID is the longest request id that a policy takes, in bytes.
const maxRequestID = 512

// Policy returns a Config.Request that asks the policy of a namespace, at a cost of 1. The
// policy is told the method, the path, the length of the body (content_length), the
// hash of a bearer token (bearer), the request id, and what attributes says, which may
// be nil: who calls, on which plan. An empty value counts as absent.
//
// The identify section of a policy is for the HTTP door; a program that has loaded the
// policy may have attributes carry it out, with policy.Policy.Identify.
func Policy(namespace string, attributes func(*http.Request) map[string]string) func(*http.Request) (bucketring.Request, bool) {
	return func(r *http.Request) (bucketring.Request, bool) {
		sent := fixed(r)
		if attributes != nil {
			maps.Copy(sent, attributes(r))
		}
		for name, value := range sent {
			if value == "" {
				delete(sent, name)
			}
		}
		return bucketring.Request{Namespace: namespace, Attributes: sent, Cost: 1}, true
	}
}

// fixed returns the attributes that mean the same in every policy.
func fixed(r *http.Request) map[string]string {
	sent := map[string]string{"method": r.Method, "path": r.URL.EscapedPath()}
	// 0 stands for a body that is empty and for one that is not there.
	if r.ContentLength > 0 || r.ContentLength == 0 && r.Header.Get("Content-Length") != "" {
		sent["content_length"] = strconv.FormatInt(r.ContentLength, 10)
	}
	if scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		sent["bearer"] = client.HashKey(strings.Trim(token, " "))
	}
	if id := r.Header.Get("X-Request-Id"); len(id) <= maxRequestID {
		sent["request_id"] = id
	}
	return sent
}
