// pages.go serves what a View shows.

package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/bucketring/bucketring"
)

// page checks that there is a View and reads the query.
func (h *Handler) page(r *http.Request, fields ...string) ([maxParameters]parameter, error) {
	if h.view == nil {
		return [maxParameters]parameter{}, errNoView
	}
	return parameters(r.URL.RawQuery, fields)
}

// members serves GET /v1/members.
func (h *Handler) members(w http.ResponseWriter, r *http.Request) {
	if _, err := h.page(r); err != nil {
		h.fail(w, r, err)
		return
	}
	m := h.view.Members()
	if m.Listeners == nil {
		m.Listeners = map[string]string{}
	}
	m.Members = append([]Member{}, m.Members...)
	for i := range m.Members {
		m.Members[i].Share = fourDecimals(m.Members[i].Share)
		m.Members[i].Since = m.Members[i].Since.UTC().Truncate(time.Second)
	}
	h.writePage(w, r, m)
}

// ring serves GET /v1/ring.
func (h *Handler) ring(w http.ResponseWriter, r *http.Request) {
	values, err := h.page(r, "owners")
	owners := values[0]
	if err == nil && owners.given && owners.text != "0" && owners.text != "1" {
		err = bucketring.Invalidf("owners must be 1 to list the owner of every partition, or 0")
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	view := h.view.Ring()
	view.Members = append([]Share{}, view.Members...)
	for i := range view.Members {
		view.Members[i].Share = fourDecimals(view.Members[i].Share)
	}
	if owners.text != "1" {
		view.Owners = nil
	} else if view.Owners == nil {
		view.Owners = []string{}
	}
	h.writePage(w, r, view)
}

// explain serves GET /v1/explain.
func (h *Handler) explain(w http.ResponseWriter, r *http.Request) {
	values, err := h.page(r, "key", "limit")
	if err != nil {
		h.fail(w, r, err)
		return
	}
	// The rules for a key and limits are those of a request; a limit may be
	// missing here only.
	req := bucketring.Request{Verb: bucketring.VerbPeek, Key: values[0].text}
	limit := parameter{"1/s", true}
	if values[1].given {
		limit = values[1]
	}
	if req.Limits, err = bucketring.Parse(limit.text); err == nil {
		err = req.Validate()
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	if !values[1].given {
		req.Limits = nil
	}
	e, err := h.view.Explain(r.Context(), req.Key, req.Limits)
	if err != nil {
		h.failRequest(w, r, &req, err)
		return
	}
	writeJSON(w, http.StatusOK, append(appendExplanation(nil, &e), '\n'))
}

// appendExplanation appends e as the API shows it.
func appendExplanation(b []byte, e *Explanation) []byte {
	b = append(b, `{"key":`...)
	b = appendString(b, e.Key)
	b = append(b, `,"partition":`...)
	b = appendInt(b, int64(e.Partition))
	b = append(b, `,"owner":`...)
	b = appendString(b, e.Owner)
	b = append(b, `,"replica":`...)
	b = appendString(b, e.Replica)
	b = append(b, `,"node":`...)
	b = appendString(b, e.Node)
	b = append(b, `,"ring_version":`...)
	b = strconv.AppendUint(b, e.RingVersion, 10)
	if e.Decision != nil {
		b = append(b, `,"decision":`...)
		b = appendDecision(b, e.Decision, false)
	}
	return append(b, '}')
}

// writePage sends a page as JSON.
func (h *Handler) writePage(w http.ResponseWriter, r *http.Request, page any) {
	body, err := json.Marshal(page)
	if err != nil { // a NaN or a year beyond 9999: the View is wrong
		h.fail(w, r, fmt.Errorf("httpapi: encode a page: %w", err))
		return
	}
	writeJSON(w, http.StatusOK, append(body, '\n'))
}

func fourDecimals(f float64) float64 { return math.Round(f*1e4) / 1e4 }
