// policies.go is the part of the public API that only policies need: leases,
// settlements, levels and usage.

package transport

import (
	"context"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// Renew implements limitpb.LimiterServer.
func (s *Server) Renew(ctx context.Context, m *limitpb.LeasesRequest) (*limitpb.LeasesResponse, error) {
	return s.leases(ctx, bucketring.VerbRenew, m)
}

// Release implements limitpb.LimiterServer.
func (s *Server) Release(ctx context.Context, m *limitpb.LeasesRequest) (*limitpb.LeasesResponse, error) {
	return s.leases(ctx, bucketring.VerbRelease, m)
}

func (s *Server) leases(ctx context.Context, verb bucketring.Verb, m *limitpb.LeasesRequest) (*limitpb.LeasesResponse, error) {
	req := bucketring.Request{Verb: verb, IDs: m.GetLeases()}
	if err := s.may(ctx, &req); err != nil {
		return nil, toStatus(err)
	}
	d, err := s.limiter.Take(ctx, req)
	if err != nil {
		return nil, toStatus(err)
	}
	s.hide(ctx, &d)
	return &limitpb.LeasesResponse{Leases: d.Leases}, nil
}

// Settle implements limitpb.LimiterServer.
func (s *Server) Settle(ctx context.Context, m *limitpb.SettleRequest) (*limitpb.Decision, error) {
	return s.decide(ctx, &bucketring.Request{
		Verb: bucketring.VerbSettle, IDs: []string{m.GetReservation()}, Cost: m.GetCost(), CostNanos: m.GetCostNanos(),
	})
}

// SetLevel implements limitpb.LimiterServer.
func (s *Server) SetLevel(ctx context.Context, m *limitpb.LevelRequest) (*limitpb.Decision, error) {
	req, err := fromLevel(m)
	if err != nil {
		return nil, toStatus(err)
	}
	return s.decide(ctx, &req)
}

// Usage implements limitpb.LimiterServer.
func (s *Server) Usage(ctx context.Context, m *limitpb.UsageRequest) (*limitpb.Decision, error) {
	return s.decide(ctx, &bucketring.Request{
		Verb: bucketring.VerbUsage, Namespace: m.GetNamespace(), Attributes: m.GetAttributes(),
	})
}
