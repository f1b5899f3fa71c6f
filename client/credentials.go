// credentials.go shows a node who this client is.

package client

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
)

// secured returns the options for connections to addr.
func (cfg *Config) secured(addr string) ([]grpc.DialOption, error) {
	creds := insecure.NewCredentials()
	if cfg.TLS != nil {
		creds = credentials.NewTLS(cfg.TLS)
	}
	opts := []grpc.DialOption{grpc.WithTransportCredentials(creds)}
	if cfg.Token == "" {
		return opts, nil
	}
	if cfg.TLS == nil && !cfg.TokenInClear && !isLocal(addr) {
		return nil, fmt.Errorf("client: the token would cross the network in clear to %s: give TLS, or accept that with TokenInClear", addr)
	}
	return append(opts, grpc.WithPerRPCCredentials(bearer(cfg.Token))), nil
}

// isLocal reports whether what is sent to addr stays on this machine.
func isLocal(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr[strings.LastIndexByte(addr, '/')+1:])
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// A bearer is a token that is shown with each call, and once for each stream.
type bearer string

func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity is false: secured has looked where the token goes.
func (b bearer) RequireTransportSecurity() bool { return false }
