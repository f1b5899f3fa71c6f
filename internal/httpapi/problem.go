package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bucketring/bucketring"
)

// reducedCapacity is the registered type of a refusal that is no fault of the
// caller.
const reducedCapacity = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"

// A problem is an answer that is not a decision. Its detail tells the caller
// what to do and holds no key.
type problem struct {
	status       int
	kind, title  string
	detail       string
	violated     []string // names of limits; nil to leave the member out
	errors       []string // each thing that is wrong; nil to leave the member out
	retryAfter1s bool
	closes       bool // what is still to come is not worth reading
}

// Error makes a problem an error on its way from the reader to the answer.
func (p *problem) Error() string { return "httpapi: " + p.detail }

// problemf returns the problem of a call that cannot succeed as it stands.
func problemf(status int, format string, args ...any) *problem {
	return &problem{
		status: status, kind: "about:blank", title: http.StatusText(status),
		detail: fmt.Sprintf(format, args...),
	}
}

// unavailable returns the problem of a call that may succeed in a second.
func unavailable(detail string) *problem {
	return &problem{
		status: http.StatusServiceUnavailable, kind: reducedCapacity, title: "Temporary reduced capacity",
		detail: detail, retryAfter1s: true,
	}
}

// closing makes a problem end the connection.
func closing(p *problem) *problem {
	p.closes = true
	return p
}

// The problems that need no data of the call.
var (
	errCrossSite = problemf(http.StatusForbidden,
		"a page of another site may not make this call: make it from your server")
	errPanic = problemf(http.StatusInternalServerError,
		"this call failed because of a defect in the server: tell its operator if it happens again")
	errNoView = problemf(http.StatusNotFound,
		"no cluster view: this node runs without a cluster")
	errBodyTooLarge = closing(problemf(http.StatusRequestEntityTooLarge,
		"the body has more than %d bytes: send fewer requests in one call", maxBody))
	errBatchTooLong = problemf(http.StatusRequestEntityTooLarge,
		"more than %d requests in one batch: split it; none was carried out", maxBatch)
	errUnknownID = problemf(http.StatusNotFound,
		"there is no such reservation: it was never made, or its window is over for long")
	errEncoded = problemf(http.StatusUnsupportedMediaType,
		"the body has a Content-Encoding: send it plain")
	errNotJSON = problemf(http.StatusUnsupportedMediaType,
		"send the header Content-Type: application/json (curl: -H 'Content-Type: application/json')")
	errUndecided = unavailable("no node could decide this call in time: try again in 1 second")
	errUnknown   = unavailable("this call could not be decided: try again in 1 second")
	errTooSlow   = unavailable("the batch took too long and this request was not carried out: send it again")
)

// problemOf maps the error of a call to its answer. It does not return if the
// caller has gone away.
func (f *face) problemOf(ctx context.Context, req *bucketring.Request, err error) *problem {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, bucketring.ErrInvalid):
		return problemf(http.StatusBadRequest, "%s", err)
	case errors.Is(err, bucketring.ErrNoPolicy):
		return problemf(http.StatusNotFound, "%s", strings.TrimPrefix(err.Error(), "bucketring: "))
	case accessProblem(err) != nil:
		return accessProblem(err)
	case errors.Is(err, bucketring.ErrUnknownID):
		return errUnknownID
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		panic(http.ErrAbortHandler) // closes the connection without a word
	case errors.Is(err, bucketring.ErrUnavailable),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errUndecided
	}
	f.logError(req, err)
	return errUnknown
}

// fail answers with the problem of err, for a call that has no request.
func (f *face) fail(w http.ResponseWriter, r *http.Request, err error) {
	f.failRequest(w, r, nil, err)
}

// failRequest answers with the problem of err. The request is only looked at to
// keep it out of the log.
func (f *face) failRequest(w http.ResponseWriter, r *http.Request, req *bucketring.Request, err error) {
	p := f.problemOf(r.Context(), req, err)
	switch {
	case p == errCrossSite:
		f.counts.crossSite.Add(1)
	case p.status == http.StatusServiceUnavailable:
		f.counts.unavailable.Add(1)
	case p.status < http.StatusInternalServerError:
		f.counts.bad.Add(1)
	}
	writeProblem(w, p)
}

// writeProblem sends p.
func writeProblem(w http.ResponseWriter, p *problem) {
	header := w.Header()
	header["Content-Type"] = problemJSON
	if p.retryAfter1s {
		header["Retry-After"] = oneSecond
	}
	if p.status == http.StatusUnauthorized {
		header["Www-Authenticate"] = bearer
	}
	if p.closes {
		header["Connection"] = closeAfter
	}
	w.WriteHeader(p.status)
	// Nobody is left to tell if this fails.
	_, _ = w.Write(append(appendProblem(nil, p), '\n'))
}

// appendProblem appends p as JSON.
func appendProblem(b []byte, p *problem) []byte {
	b = append(b, `{"type":`...)
	b = appendString(b, p.kind)
	b = append(b, `,"title":`...)
	b = appendString(b, p.title)
	b = append(b, `,"status":`...)
	b = appendInt(b, int64(p.status))
	b = append(b, `,"detail":`...)
	b = appendString(b, p.detail)
	if p.violated != nil {
		b = appendStrings(append(b, `,"violated-policies":`...), p.violated)
	}
	if p.errors != nil {
		b = appendStrings(append(b, `,"errors":`...), p.errors)
	}
	return append(b, '}')
}
