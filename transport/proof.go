// proof.go has nodes whose certificates come from elsewhere prove that they know the cluster's
// secret: an authority of a site signs for applications too.

package transport

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"net"
	"slices"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	grpcpeer "google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
)

// claimName is the metadata by which a caller proves that it knows the secret. It is of use
// only together with the key of the certificate that it is made for.
const claimName = "bucketring-proof-bin"

// A claim implements credentials.PerRPCCredentials for one connection, whose certificate
// does not change.
type claim string

// claim proves that whoever shows a certificate, in DER, knows the secret.
func (id *Identity) claim(leaf []byte) claim {
	mac := hmac.New(sha256.New, id.secret)
	mac.Write(leaf)
	return claim(mac.Sum(nil))
}

// GetRequestMetadata sends the claim along with every call.
func (c claim) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{claimName: string(c)}, nil
}

// RequireTransportSecurity keeps it out of connections in clear.
func (c claim) RequireTransportSecurity() bool { return true }

// leafOf returns the certificate that the caller has shown, or nil.
func leafOf(ctx context.Context) *x509.Certificate {
	p, ok := grpcpeer.FromContext(ctx)
	if !ok {
		return nil
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.VerifiedChains) == 0 {
		return nil
	}
	return info.State.PeerCertificates[0]
}

// NamesNode reports whether a certificate has exactly the name of a node. One with a wildcard is
// for many, so it says of none which it is.
func NamesNode(leaf *x509.Certificate, node string) bool {
	if strings.Contains(node, "*") {
		return false
	}
	if ip := net.ParseIP(node); ip != nil { // a name that looks like an address is compared as one
		return slices.ContainsFunc(leaf.IPAddresses, ip.Equal)
	}
	return slices.ContainsFunc(leaf.DNSNames, func(name string) bool { return strings.EqualFold(name, node) })
}

// checkClaim refuses callers that do not prove that they know the secret.
func (s *PeerServer) checkClaim(ctx context.Context) error {
	leaf, claims := leafOf(ctx), metadata.ValueFromIncomingContext(ctx, claimName)
	if leaf != nil && len(claims) == 1 && hmac.Equal([]byte(claims[0]), []byte(s.cfg.Identity.claim(leaf.Raw))) {
		return nil
	}
	s.strangers.Add(1)
	return status.Error(codes.PermissionDenied, "transport: no proof of the cluster's secret: nodes alone are let in, with the same key file everywhere")
}

// claims are the options of a server all of whose calls need a claim, whatever they are.
func (s *PeerServer) claims() []grpc.ServerOption {
	unary := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if err := s.checkClaim(ctx); err != nil {
			return nil, err
		}
		return handle(ctx, req)
	}
	stream := func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
		if err := s.checkClaim(stream.Context()); err != nil {
			return err
		}
		return handle(srv, stream)
	}
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(unary), grpc.ChainStreamInterceptor(stream)}
}
