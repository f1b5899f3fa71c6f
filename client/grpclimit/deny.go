// deny.go makes statuses of denials, and reads them.

package grpclimit

import (
	"net/http"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/internal/ratefield"
)

// The statuses of calls that nobody has decided.
var (
	errInvalid = status.Error(codes.InvalidArgument,
		"the limits that hold here cannot be applied to this call: a part of it is too long or is no number")
	errUndecided = made(codes.Unavailable,
		"the limits that hold here cannot be checked at the moment; try again in 1 second", retryInfo(time.Second))
)

// fieldsOf returns the rate fields of a decision: those of its policy, without the one
// that describes its body, or X-RateLimit and, if waiting can help, Retry-After.
func fieldsOf(d *bucketring.Decision) metadata.MD {
	var fields []bucketring.Header
	switch {
	case d.Response != nil:
		fields = d.Response.Headers
	case !d.Allowed && d.Source == bucketring.SourceFallbackClosed: // what the limit would say is not known
		fields = ratefield.AppendRetryAfter(fields, 1)
	default:
		s := ratefield.State{Limit: d.Limit, Remaining: d.Remaining, Precision: d.Precision, ResetAt: d.ResetAt}
		fields = ratefield.AppendXRateLimit(fields, &s, false)
		if !d.Allowed {
			fields = ratefield.AppendRetryAfter(fields, ratefield.Wait(d.RetryAfter))
		}
	}
	md := metadata.MD{}
	for _, f := range fields {
		if f.Name != "Content-Type" {
			md.Set(f.Name, f.Value)
		}
	}
	return md
}

// pushback is how servers tell gRPC's own retries when to come back (gRFC A6).
const pushback = "grpc-retry-pushback-ms"

// deny returns the status of a denial, and says when to try again.
func deny(limits []bucketring.Limit, d *bucketring.Decision, to answer) error {
	refusal := client.RefusalOf(limits, d)
	retry := refusal.RetryAfter
	if d.Response != nil {
		retry = retryOf(d.Response)
	}
	var details []protoadapt.MessageV1
	if retry == bucketring.Never {
		to.setTrailer(metadata.Pairs(pushback, "-1"))
	} else {
		details = append(details, retryInfo(retry))
		to.setTrailer(metadata.Pairs(pushback, strconv.FormatInt(int64((retry+time.Millisecond-1)/time.Millisecond), 10)))
	}
	code := codeOf(d, &refusal)
	if code == codes.ResourceExhausted {
		details = append(details, quotaFailure(d, &refusal))
	}
	return made(code, refusal.Detail, details...)
}

// codeOf returns the code that stands for a denial. The status of a policy is for HTTP.
func codeOf(d *bucketring.Decision, refusal *client.Refusal) codes.Code {
	ofRule := d.Limits != nil && len(d.Limits) == 0
	switch {
	case refusal.Unavailable, d.Response != nil && d.Response.Status == http.StatusServiceUnavailable:
		return codes.Unavailable
	case ofRule && d.Response != nil && d.Response.Status == http.StatusUnauthorized:
		return codes.Unauthenticated
	case ofRule:
		return codes.PermissionDenied
	}
	return codes.ResourceExhausted
}

// retryOf returns when a policy says to try again, bucketring.Never if it does not.
func retryOf(r *bucketring.Response) time.Duration {
	for _, f := range r.Headers {
		if f.Name == "Retry-After" {
			if seconds, err := strconv.ParseInt(f.Value, 10, 32); err == nil {
				return time.Duration(seconds) * time.Second
			}
		}
	}
	return bucketring.Never
}

// quotaFailure has one violation for each limit that denies. Its subject is the limit:
// whose call it was the caller knows, and nobody else shall.
func quotaFailure(d *bucketring.Decision, refusal *client.Refusal) *errdetails.QuotaFailure {
	f := &errdetails.QuotaFailure{}
	for _, s := range d.All() {
		if s.Allowed {
			continue
		}
		v := &errdetails.QuotaFailure_Violation{Subject: s.Name, QuotaId: s.Name, QuotaValue: s.Limit / bucketring.One(s.Precision)}
		if s.Name == d.Name {
			v.Description = refusal.Detail
		}
		f.Violations = append(f.Violations, v)
	}
	return f
}

func retryInfo(after time.Duration) *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(after)}
}

// made returns a status with details, or without if they cannot be packed.
func made(code codes.Code, text string, details ...protoadapt.MessageV1) error {
	s := status.New(code, text)
	if detailed, err := s.WithDetails(details...); err == nil && len(details) > 0 {
		s = detailed
	}
	return s.Err()
}

// RetryAfter returns the time after which the server says to repeat a call that failed
// with err: that of its RetryInfo. ok is false if it says nothing, as if waiting cannot help.
// It is for the callers of a server, also of one that is not ours.
func RetryAfter(err error) (after time.Duration, ok bool) {
	for _, d := range status.Convert(err).Details() {
		if info, is := d.(*errdetails.RetryInfo); is && info.GetRetryDelay().IsValid() {
			return max(info.GetRetryDelay().AsDuration(), 0), true
		}
	}
	return 0, false
}
