// http.go serves the calls as JSON.

package gubernatorapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/bucketring/bucketring/internal/gubernatorapi/pb"
)

const (
	maxBody  = 1 << 20 // bytes
	maxDepth = 16      // of values in each other
)

// A route is one call.
type route struct {
	method string
	call   func(*Server, context.Context, http.ResponseWriter, *http.Request) (proto.Message, error)
}

const liveCheckPath = "/v1/LiveCheck"

var routes = map[string]route{
	"/v1/GetRateLimits": {http.MethodPost, (*Server).getRateLimits},
	"/v1/HealthCheck":   {http.MethodGet, (*Server).healthCheck},
	liveCheckPath:       {http.MethodGet, (*Server).liveCheck},
}

// Paths are those that a [Server] answers as an http.Handler, whatever the method.
func Paths() []string { return slices.Sorted(maps.Keys(routes)) }

// ServeHTTP answers one call. Pages of other sites cannot have browsers make one.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer func() {
		switch value := recover(); value {
		case nil:
		case http.ErrAbortHandler:
			panic(value)
		default:
			s.panicked(value)
			writeError(w, status.Error(codes.Internal, "the call ended in a panic, which was counted"))
		}
	}()
	resp, err := s.serve(w, r)
	var body []byte
	if err == nil {
		body, err = encode(resp)
	}
	if err != nil {
		writeError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Grpc-Metadata-Content-Type", "application/grpc")
	_, _ = w.Write(body) // if the caller is gone, so be it
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) (proto.Message, error) {
	wanted, known := routes[r.URL.Path]
	switch {
	case !known:
		return nil, status.Error(codes.NotFound, "Not Found")
	case r.Method != wanted.method:
		return nil, status.Error(codes.Unimplemented, "Method Not Allowed")
	case s.sites.Check(r) != nil:
		return nil, status.Error(codes.PermissionDenied, "a page of another site made this call, which is not allowed")
	}
	ctx, cancel, err := withTimeout(r)
	if err != nil {
		return nil, err
	}
	defer cancel()
	if ctx, err = s.admit(ctx, w, r); err != nil {
		return nil, err
	}
	return wanted.call(s, ctx, w, r)
}

func (s *Server) getRateLimits(ctx context.Context, w http.ResponseWriter, r *http.Request) (proto.Message, error) {
	m, err := decode(w, r)
	if err != nil {
		return nil, err
	}
	resp, err := s.GetRateLimits(ctx, m)
	if err == nil && ctx.Err() != nil {
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	return resp, err
}

func (s *Server) healthCheck(ctx context.Context, _ http.ResponseWriter, _ *http.Request) (proto.Message, error) {
	return s.HealthCheck(ctx, nil)
}

func (s *Server) liveCheck(ctx context.Context, _ http.ResponseWriter, _ *http.Request) (proto.Message, error) {
	return s.LiveCheck(ctx, nil)
}

// tooLarge is the error of a message that has so many bytes, at least.
func tooLarge(bytes int64) error {
	return status.Errorf(codes.ResourceExhausted, "grpc: received message larger than max (%d vs. %d)", bytes, maxBody)
}

// decode reads the body of a call. Nothing says an empty one.
func decode(w http.ResponseWriter, r *http.Request) (*pb.GetRateLimitsReq, error) {
	if r.ContentLength > maxBody {
		return nil, tooLarge(r.ContentLength)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return nil, tooLarge(maxBody + 1)
	}
	m := new(pb.GetRateLimitsReq)
	if err == nil && len(bytes.TrimLeft(body, " \t\r\n")) > 0 {
		err = protojson.UnmarshalOptions{DiscardUnknown: true, RecursionLimit: maxDepth}.Unmarshal(body, m)
	}
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	return m, nil
}

// encode writes an answer in one line, the same one each time.
func encode(m proto.Message) ([]byte, error) {
	spaced, err := protojson.MarshalOptions{UseProtoNames: true, EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	var b bytes.Buffer
	b.Grow(len(spaced))
	if err := json.Compact(&b, spaced); err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return b.Bytes(), nil
}

// statuses are what codes of gRPC are over HTTP. What is exhausted is the size of a body:
// 429 is only what a limit says, and that is no error here.
var statuses = [...]int{
	codes.OK: http.StatusOK, codes.Canceled: 499, codes.Unknown: http.StatusInternalServerError,
	codes.InvalidArgument: http.StatusBadRequest, codes.DeadlineExceeded: http.StatusGatewayTimeout,
	codes.NotFound: http.StatusNotFound, codes.AlreadyExists: http.StatusConflict,
	codes.PermissionDenied: http.StatusForbidden, codes.ResourceExhausted: http.StatusRequestEntityTooLarge,
	codes.FailedPrecondition: http.StatusBadRequest, codes.Aborted: http.StatusConflict,
	codes.OutOfRange: http.StatusBadRequest, codes.Unimplemented: http.StatusNotImplemented,
	codes.Internal: http.StatusInternalServerError, codes.Unavailable: http.StatusServiceUnavailable,
	codes.DataLoss: http.StatusInternalServerError, codes.Unauthenticated: http.StatusUnauthorized,
}

// problem is the body of an error.
type problem struct {
	Code    codes.Code `json:"code"`
	Message string     `json:"message"`
	Details []any      `json:"details"`
}

// writeError answers with an error.
func writeError(w http.ResponseWriter, err error) {
	p := problem{status.Code(err), status.Convert(err).Message(), []any{}}
	code := http.StatusInternalServerError
	if int(p.Code) < len(statuses) {
		code = statuses[p.Code]
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(p) // of a text and a number: it cannot fail
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_, _ = w.Write(bytes.TrimRight(b.Bytes(), "\n"))
}
