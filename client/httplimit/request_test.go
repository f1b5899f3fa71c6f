package httplimit_test

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client/httplimit"
)

func TestKeys(t *testing.T) {
	behind := httplimit.ForwardedIP(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"))
	long := strings.Repeat("k", bucketring.MaxKeyLen+1)
	for _, tt := range []struct {
		name      string
		key       httplimit.KeyFunc
		remote    string
		forwarded []string
		user      string
		want      string
	}{
		{"IPv4", httplimit.RemoteIP, "192.0.2.1:1", nil, "", "192.0.2.1"},
		{"IPv6", httplimit.RemoteIP, "[2001:db8:1:2:3:4:5:6]:1", nil, "", "2001:db8:1:2::/64"},
		{"IPv6 of a zone", httplimit.RemoteIP, "[fe80::1%eth0]:1", nil, "", "fe80::/64"},
		{"IPv4 as IPv6", httplimit.RemoteIP, "[::ffff:192.0.2.1]:1", nil, "", "192.0.2.1"},
		{"a Unix socket", httplimit.RemoteIP, "@", nil, "", "(none)"},
		{"forwarded and not believed", httplimit.RemoteIP, "192.0.2.1:1", []string{"198.51.100.1"}, "", "192.0.2.1"},
		{"direct", behind, "192.0.2.1:1", []string{"198.51.100.1"}, "", "192.0.2.1"},
		{"a proxy", behind, "10.0.0.1:1", []string{"198.51.100.1"}, "", "198.51.100.1"},
		{"a proxy that says nothing", behind, "10.0.0.1:1", nil, "", "10.0.0.1"},
		{"two proxies", behind, "10.0.0.1:1", []string{"198.51.100.1, 10.0.0.2"}, "", "198.51.100.1"},
		{"lines", behind, "10.0.0.1:1", []string{"198.51.100.1", "fd00::1,10.0.0.2"}, "", "198.51.100.1"},
		{"what the caller wrote", behind, "10.0.0.1:1", []string{"203.0.113.9, 198.51.100.1"}, "", "198.51.100.1"},
		{"no address", behind, "10.0.0.1:1", []string{"203.0.113.9, unknown, 10.0.0.2"}, "", "10.0.0.2"},
		{"a proxy and IPv6", behind, "[fd00::1]:1", []string{"2001:db8::7"}, "", "2001:db8::/64"},
		{"a header", httplimit.Header("X-User"), "192.0.2.1:1", nil, "alice", "alice"},
		{"no header", httplimit.Header("X-User"), "192.0.2.1:1", nil, "", "(none)"},
		{"a secret", httplimit.Hashed(httplimit.Header("X-User")), "", nil, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"no secret", httplimit.Hashed(httplimit.Header("X-User")), "", nil, "", "(none)"},
		{"longer than a key", httplimit.Header("X-User"), "", nil, long, "45a7c7ef95c3417e800362f5672aba16da807261fe7121f3a81b0a0fb6b9a05c"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.remote
		r.Header["X-Forwarded-For"] = tt.forwarded
		r.Header.Set("X-User", tt.user)
		req, ok := httplimit.Key(bucketring.MustParse("1/m"), tt.key)(r)
		if err := req.Validate(); err != nil || !ok || req.Cost != 1 {
			t.Errorf("%s: %+v, %v, %v", tt.name, req, ok, err)
		}
		if req.Key != tt.want {
			t.Errorf("%s: key %q, want %q", tt.name, req.Key, tt.want)
		}
	}
}
