// status.go holds the one table between our errors and gRPC's, used both ways.

package transport

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport/limitpb"
)

// statuses pairs errors with codes; the first match counts. A reason tells errors
// of one code apart, and the one without comes after those that have one.
var statuses = []struct {
	err    error
	code   codes.Code
	reason string
}{
	{bucketring.ErrInvalid, codes.InvalidArgument, ""},
	{bucketring.ErrUnknownID, codes.NotFound, "UNKNOWN_ID"},
	{bucketring.ErrNoPolicy, codes.NotFound, ""},
	{bucketring.ErrUnavailable, codes.Unavailable, ""},
	{bucketring.ErrUnauthenticated, codes.Unauthenticated, ""},
	{bucketring.ErrForbidden, codes.PermissionDenied, ""},
	{context.DeadlineExceeded, codes.DeadlineExceeded, ""},
	{context.Canceled, codes.Canceled, ""},
}

// toStatus makes the gRPC error of one of ours. The text is kept: it is meant
// for the caller. A reason travels as a detail.
func toStatus(err error) error {
	for _, s := range statuses {
		if !errors.Is(err, s.err) {
			continue
		}
		made := status.New(s.code, err.Error())
		if s.reason != "" {
			if detailed, err := made.WithDetails(&limitpb.Error{Code: int32(s.code), Reason: s.reason}); err == nil {
				made = detailed
			}
		}
		return made.Err()
	}
	return status.Error(codes.Internal, err.Error())
}

// toError makes an answer's error of what toStatus, or a panic, has made.
func toError(err error) *limitpb.Error {
	s := status.Convert(err)
	return &limitpb.Error{Code: int32(s.Code()), Detail: s.Message(), Reason: reasonOf(s)}
}

func reasonOf(s *status.Status) string {
	for _, d := range s.Details() {
		if e, ok := d.(*limitpb.Error); ok {
			return e.GetReason()
		}
	}
	return ""
}

// remoteError is an error that came over the wire: the text of the other side,
// and what it is.
type remoteError struct {
	text string
	is   error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// fromStatus makes our error of gRPC's. What is not in the table means that the
// call brought no decision.
func fromStatus(err error) error {
	s := status.Convert(err)
	return fromCode(s.Code(), reasonOf(s), s.Message())
}

func fromCode(code codes.Code, reason, text string) error {
	for _, s := range statuses {
		if s.code == code && (s.reason == "" || s.reason == reason) {
			return &remoteError{text, s.err}
		}
	}
	return fmt.Errorf("%w: %s: %s", bucketring.ErrUnavailable, code, text)
}
