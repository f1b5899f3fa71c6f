// health.go tells whether this node is well, and which others it knows.

package gubernatorapi

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

const (
	notAMember   = "this instance is not found in the peer list"
	shuttingDown = "server is shutting down"
)

// A Peer is a member as HealthCheck lists it.
type Peer struct {
	Address    string // under which clients reach its gRPC API
	DataCenter string // "" where there is only one
	Self       bool   // is this node
}

// HealthCheck implements pb.V1Server. It tells of this node alone: what is the matter
// with others, or with callers, does not make this one unhealthy.
func (s *Server) HealthCheck(ctx context.Context, _ *pb.HealthCheckReq) (*pb.HealthCheckResp, error) {
	if err := s.mayLook(ctx); err != nil {
		return nil, err
	}
	if s.cfg.Ready != nil {
		if err := s.cfg.Ready(); err != nil {
			return nil, status.Error(codes.Unavailable, err.Error())
		}
	}
	peers := []Peer{{Self: true}}
	if s.cfg.Peers != nil {
		peers = s.cfg.Peers()
	}
	var self *Peer
	for i := range peers {
		if peers[i].Self {
			self = &peers[i]
		}
	}
	if self == nil {
		return nil, status.Error(codes.Unavailable, notAMember)
	}
	healthy := &pb.HealthCheckResp{Status: "healthy", PeerCount: int32(len(peers)), AdvertiseAddress: self.Address}
	for _, p := range peers {
		told := &pb.PeerHealthResp{GrpcAddress: p.Address, DataCenter: p.DataCenter}
		if p.DataCenter == self.DataCenter {
			healthy.LocalPeers = append(healthy.LocalPeers, told)
		} else {
			healthy.RegionPeers = append(healthy.RegionPeers, told)
		}
	}
	return healthy, nil
}

// LiveCheck implements pb.V1Server. It fails from the first moment of shutdown, while
// items are still counted, so that nobody sends more of them.
func (s *Server) LiveCheck(context.Context, *pb.LiveCheckReq) (*pb.LiveCheckResp, error) {
	if s.ending.Load() {
		return nil, status.Error(codes.Unavailable, shuttingDown)
	}
	return &pb.LiveCheckResp{}, nil
}
