// status.go holds the one table between our errors and gRPC's, used both ways.

package transport

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
)

// statuses pairs errors with codes; the first match counts.
var statuses = []struct {
	err  error
	code codes.Code
}{
	{bucketring.ErrInvalid, codes.InvalidArgument},
	{bucketring.ErrNoPolicy, codes.NotFound},
	{bucketring.ErrUnavailable, codes.Unavailable},
	{context.DeadlineExceeded, codes.DeadlineExceeded},
	{context.Canceled, codes.Canceled},
}

// toStatus makes the gRPC error of one of ours. The text is kept: it is meant
// for the caller.
func toStatus(err error) error {
	return status.Error(codeOf(err), err.Error())
}

func codeOf(err error) codes.Code {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.code
		}
	}
	return codes.Internal
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
	return fromCode(s.Code(), s.Message())
}

func fromCode(code codes.Code, text string) error {
	for _, s := range statuses {
		if s.code == code {
			return &remoteError{text, s.err}
		}
	}
	return fmt.Errorf("%w: %s: %s", bucketring.ErrUnavailable, code, text)
}
