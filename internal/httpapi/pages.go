// pages.go serves what a View shows.

package httpapi

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
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
