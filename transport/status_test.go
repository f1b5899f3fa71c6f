package transport_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/transport"
)

func TestStatusTable(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code codes.Code
		is   error // what the other side sees
	}{
		{bucketring.Invalidf("cost is -1"), codes.InvalidArgument, bucketring.ErrInvalid},
		{fmt.Errorf("%w: no namespace x", bucketring.ErrNoPolicy), codes.NotFound, bucketring.ErrNoPolicy},
		{fmt.Errorf("settle: %w", bucketring.ErrUnknownID), codes.NotFound, bucketring.ErrUnknownID},
		{fmt.Errorf("%w: no answer: %w", bucketring.ErrUnavailable, context.DeadlineExceeded), codes.Unavailable, bucketring.ErrUnavailable},
		{&bucketring.NotOwner{Hint: "n3"}, codes.Unavailable, bucketring.ErrUnavailable},
		{fmt.Errorf("node: %w", context.DeadlineExceeded), codes.DeadlineExceeded, context.DeadlineExceeded},
		{context.Canceled, codes.Canceled, context.Canceled},
		{fmt.Errorf("%w: show a token", bucketring.ErrUnauthenticated), codes.Unauthenticated, bucketring.ErrUnauthenticated},
		{fmt.Errorf("%w: not there", bucketring.ErrForbidden), codes.PermissionDenied, bucketring.ErrForbidden},
		{errors.New("disk on fire"), codes.Internal, bucketring.ErrUnavailable},
	} {
		sent := transport.ToStatus(tt.err)
		if got := status.Code(sent); got != tt.code {
			t.Errorf("ToStatus(%q) = %v, want %v", tt.err, got, tt.code)
		}
		if got := status.Convert(sent).Message(); got != tt.err.Error() {
			t.Errorf("text of ToStatus(%q) = %q, want it kept", tt.err, got)
		}
		got := transport.FromStatus(sent)
		for _, is := range ours {
			if errors.Is(got, is) != (is == tt.is) {
				t.Errorf("FromStatus(%v) = %v, want %v and nothing else", sent, got, tt.is)
			}
		}
		if tt.code != codes.Internal && got.Error() != tt.err.Error() {
			t.Errorf("FromStatus(%v) = %q, want the text of the other side", sent, got)
		}
	}
}

// ours are the errors of a Limiter and of a Guard.
var ours = []error{bucketring.ErrInvalid, bucketring.ErrNoPolicy, bucketring.ErrUnknownID, bucketring.ErrUnavailable,
	context.DeadlineExceeded, context.Canceled, bucketring.ErrUnauthenticated, bucketring.ErrForbidden}

// TestEveryCodeIsOneOfOurErrors: a Limiter returns no others. A reason that is not
// known here, or stands beside another code, changes nothing.
func TestEveryCodeIsOneOfOurErrors(t *testing.T) {
	for code := codes.OK + 1; code <= codes.Unauthenticated+1; code++ {
		for _, reason := range []string{"", "UNKNOWN_ID", "FROM_THE_FUTURE"} {
			err, found := transport.FromCode(code, reason, "why"), 0
			for _, is := range ours {
				if errors.Is(err, is) {
					found++
				}
			}
			if found != 1 {
				t.Errorf("FromCode(%v, %q) = %v, which is %d of our errors, want 1", code, reason, err, found)
			}
			if want := code == codes.NotFound && reason == "UNKNOWN_ID"; errors.Is(err, bucketring.ErrUnknownID) != want {
				t.Errorf("FromCode(%v, %q) = %v, is an unknown id: want %v", code, reason, err, want)
			}
		}
	}
}
