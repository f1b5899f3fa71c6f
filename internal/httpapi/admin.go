package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
)

// An Admin changes the policies of the cluster. Its methods are safe for
// concurrent use. What is put has reached this node when they return, and reaches
// the others. Their errors are those of a Limiter; an ErrInvalid has one line for
// each thing that is wrong.
type Admin interface {
	// Reload reads the configured files again. On an error whatever did load is in
	// force all the same.
	Reload(ctx context.Context) error
	// Policies returns every policy, sorted by namespace.
	Policies() []PolicyStatus
	// PutPolicy makes text, which is YAML, the policy of a namespace.
	PutPolicy(ctx context.Context, namespace string, text []byte) error
	// PutTable changes rows of a lookup table: those given are set, or deleted where
	// they are nil. With replace all others are deleted. The keys may be digests of
	// credentials: they belong into no log and no error.
	PutTable(ctx context.Context, namespace, table string, rows map[string]map[string]string, replace bool) error
	// PutOverrides makes text, a list in YAML or JSON, the overrides of a namespace.
	PutOverrides(ctx context.Context, namespace string, text []byte) error
}

// A PolicyStatus is what a node has for one namespace.
type PolicyStatus struct {
	Namespace string
	// File is where the policy was read; empty if it was put at run time.
	File string
	// Hash identifies the policy's text, shown in hexadecimal.
	Hash uint64
	// LoadedAt is when it came into force, shown in whole seconds UTC.
	LoadedAt time.Time
	// Errors are what was wrong when it was loaded last, one line each; empty if
	// nothing was. The policy before it is in force then.
	Errors []string
}

// AdminConfig says what the handler of NewAdmin serves. Only Admin is required.
type AdminConfig struct {
	// Admin does the work.
	Admin Admin
	// Drainer takes the node out of its cluster; nil if it cannot be.
	Drainer Drainer
	// Forgetter has members that vanished forgotten; nil if there are none.
	Forgetter Forgetter
	// Guard knows callers and which of them operate this node. Nil lets everybody in.
	Guard bucketring.Guard
	// Top says which keys were asked for lately, at most count in each list, as they are if
	// clear; nil if nobody knows.
	Top func(count int, clear bool) Top
	// ClearKeys lets callers see keys as they are.
	ClearKeys bool
	// Logger is told of panics and of errors that an Admin should not return. Nil
	// means silence.
	Logger *slog.Logger
}

// admin serves the calls of operators.
type admin struct {
	face
	admin     Admin
	drainer   Drainer
	forgetter Forgetter
	config    AdminConfig
}

// NewAdmin returns the handler of /v1/admin/ for the admin listener. Without a Guard that
// listener must be out of reach for strangers. It panics without an Admin.
func NewAdmin(cfg AdminConfig) http.Handler {
	if cfg.Admin == nil {
		panic("httpapi: NewAdmin without an Admin")
	}
	a := &admin{admin: cfg.Admin, drainer: cfg.Drainer, forgetter: cfg.Forgetter, config: cfg}
	a.start(cfg.Logger, cfg.Guard)
	a.mount(a.routes())
	return a
}

// reload serves POST /v1/admin/reload.
func (a *admin) reload(w http.ResponseWriter, r *http.Request) {
	err := noQuery(r)
	if err == nil && r.ContentLength != 0 {
		err = bucketring.Invalidf("a reload reads the configured files: leave the body out")
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	if err := a.admin.Reload(r.Context()); err != nil {
		a.refuse(w, r, err, "not everything could be loaded, see errors: what did load is in force")
		return
	}
	writeJSON(w, http.StatusOK, appendStatuses(nil, a.admin.Policies()))
}

// policies serves GET /v1/admin/policies.
func (a *admin) policies(w http.ResponseWriter, r *http.Request) {
	if err := noQuery(r); err != nil {
		a.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, appendStatuses(nil, a.admin.Policies()))
}

// put serves PUT of a text for one namespace, and answers what that has then.
func (a *admin) put(put func(context.Context, string, []byte) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		namespace := r.PathValue("namespace")
		text, err := readText(r)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		if err := put(r.Context(), namespace, text); err != nil {
			a.refuse(w, r, err, "the text was refused, see errors: nothing has changed")
			return
		}
		var now []PolicyStatus
		for _, p := range a.admin.Policies() {
			if p.Namespace == namespace {
				now = append(now, p)
			}
		}
		writeJSON(w, http.StatusOK, appendStatuses(nil, now))
	}
}

// table serves PUT and PATCH of a lookup table.
func (a *admin) table(replace bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := readText(r)
		if err == nil && !isJSON(r.Header["Content-Type"]) {
			err = errNotJSON
		}
		var rows map[string]map[string]string
		if err == nil {
			rows, err = decodeRows(body, !replace)
		}
		if err != nil {
			a.fail(w, r, err)
			return
		}
		err = a.admin.PutTable(r.Context(), r.PathValue("namespace"), r.PathValue("table"), rows, replace)
		if err != nil {
			a.refuse(w, r, withoutRows(rows, err), "the rows were refused, see errors: nothing has changed")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

var errInside = problemf(http.StatusInternalServerError,
	"this could not be done because of a fault of the node: its log says which")

// refuse answers with an error of the Admin: 422 and every line of it if the
// caller can mend it.
func (a *admin) refuse(w http.ResponseWriter, r *http.Request, err error, what string) {
	switch {
	case errors.Is(err, bucketring.ErrInvalid):
		p := problemf(http.StatusUnprocessableEntity, "%s", what)
		p.errors = strings.Split(err.Error(), "\n")
		err = p
	case errors.Is(err, bucketring.ErrNoPolicy), errors.Is(err, bucketring.ErrUnavailable),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		a.logError(nil, err)
		err = errInside
	}
	a.fail(w, r, err)
}

// maxText bounds a body of the admin API, in bytes.
const maxText = 1 << 20

var errTextTooLarge = closing(problemf(http.StatusRequestEntityTooLarge,
	"the body has more than %d bytes: split it", maxText))

// readText reads the body of a PUT or PATCH.
func readText(r *http.Request) ([]byte, error) {
	if err := noQuery(r); err != nil {
		return nil, err
	}
	switch {
	case len(r.Header["Content-Encoding"]) > 0:
		return nil, errEncoded
	case r.ContentLength > maxText:
		return nil, errTextTooLarge
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, maxText+1))
	switch {
	case len(text) > maxText:
		return nil, errTextTooLarge
	case err != nil:
		return nil, bodyError(err)
	case len(text) == 0:
		return nil, bucketring.Invalidf("the body is empty: send the text to put (curl: --data-binary @FILE)")
	}
	return text, nil
}

func noQuery(r *http.Request) error {
	if r.URL.RawQuery != "" {
		return bucketring.Invalidf("this call takes no query: leave it out")
	}
	return nil
}

// appendStatuses appends what a node has for each namespace.
func appendStatuses(b []byte, all []PolicyStatus) []byte {
	b = append(b, `{"policies":[`...)
	for i, p := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"namespace":`...), p.Namespace)
		b = appendString(append(b, `,"file":`...), p.File)
		b = fmt.Appendf(b, `,"hash":"%016x","loaded_at":`, p.Hash)
		if p.LoadedAt.IsZero() {
			b = append(b, "null"...)
		} else {
			b = appendString(b, p.LoadedAt.UTC().Format(time.RFC3339))
		}
		b = append(appendStrings(append(b, `,"errors":`...), p.Errors), '}')
	}
	return append(b, "]}\n"...)
}
