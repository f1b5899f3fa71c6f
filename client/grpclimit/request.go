// request.go says what to ask for a call.

package grpclimit

import (
	"context"
	"maps"
	"net/netip"
	"strings"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
)

// A KeyFunc tells callers apart. Those without a key, the empty text, share one; a key
// that is longer than bucketring.MaxKeyLen is replaced by its hash.
type KeyFunc func(ctx context.Context) string

// Key returns a Config.Request that counts each caller against limits, at a cost of 1.
// It panics if the limits are not valid.
func Key(limits []bucketring.Limit, key KeyFunc) func(context.Context, string, any) (bucketring.Request, bool) {
	sample := bucketring.Request{Key: "any", Limits: limits}
	if err := sample.Validate(); err != nil {
		panic("grpclimit: " + err.Error())
	}
	return func(ctx context.Context, _ string, _ any) (bucketring.Request, bool) {
		return bucketring.Request{Key: client.AnyKey(key(ctx)), Limits: limits, Cost: 1}, true
	}
}

// PeerIP is the key of callers who connect directly: their address, of IPv6 the /64.
func PeerIP(ctx context.Context) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return ""
	}
	addr, _ := netip.ParseAddrPort(p.Addr.String()) // the zero Addr if it has none
	return client.AddrKey(addr.Addr())
}

// Metadata returns the key that the metadata have under a name. Use it behind something
// that checks them, or callers choose their keys; and Hashed around it for a secret.
func Metadata(name string) KeyFunc {
	return func(ctx context.Context) string { return first(ctx, name) }
}

// Hashed returns the SHA-256 of a key, in hexadecimal: for secrets, which must not be
// seen where keys are shown.
func Hashed(key KeyFunc) KeyFunc {
	return func(ctx context.Context) string { return client.HashKey(key(ctx)) }
}

// first returns the first value of the metadata under a name.
func first(ctx context.Context, name string) string {
	if all := metadata.ValueFromIncomingContext(ctx, name); len(all) > 0 {
		return all[0]
	}
	return ""
}

// maxRequestID is the longest request id that a policy takes, in bytes.
const maxRequestID = 512

// Policy returns a Config.Request that asks the policy of a namespace, at a cost of 1. The
// policy is told the full method as path, POST as method, the hash of a bearer token
// (bearer), the request id of the metadata x-request-id, and what attributes says, which
// may be nil: who calls, on which plan. An empty value counts as absent.
func Policy(namespace string, attributes func(ctx context.Context) map[string]string) func(context.Context, string, any) (bucketring.Request, bool) {
	return func(ctx context.Context, method string, _ any) (bucketring.Request, bool) {
		sent := map[string]string{"method": "POST", "path": method}
		if scheme, token, ok := strings.Cut(first(ctx, "authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
			sent["bearer"] = client.HashKey(strings.Trim(token, " "))
		}
		if id := first(ctx, "x-request-id"); len(id) <= maxRequestID {
			sent["request_id"] = id
		}
		if attributes != nil {
			maps.Copy(sent, attributes(ctx))
		}
		for name, value := range sent {
			if value == "" {
				delete(sent, name)
			}
		}
		return bucketring.Request{Namespace: namespace, Attributes: sent, Cost: 1}, true
	}
}
