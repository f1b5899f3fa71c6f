// top.go shows operators which keys are asked for most.

package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/bucketring/bucketring"
)

// Top is the answer of GET /v1/admin/top: estimates, from the takes that came through the
// node's own doors.
type Top struct {
	// Node is the name of the answering node.
	Node string `json:"node"`
	// Seconds is how long ago the first of the takes was that count.
	Seconds float64 `json:"seconds"`
	// Clear says that keys are shown as they are, and not as hashes.
	Clear bool `json:"clear"`
	// Hottest has the keys with the most takes, MostDenied those with the most denials,
	// most first.
	Hottest    []TopKey `json:"hottest"`
	MostDenied []TopKey `json:"most_denied"`
}

// A TopKey is a key and the calls that named it within Seconds.
type TopKey struct {
	// Namespace is empty for limits that came with the call.
	Namespace string `json:"namespace"`
	Limit     string `json:"limit"`
	// Key is 8 hexadecimal digits of a keyed hash, unless the answer is Clear.
	Key    string `json:"key"`
	Takes  int64  `json:"takes"`
	Denied int64  `json:"denied"`
	// Over is by how much the number that sorts may be too high.
	Over int64 `json:"over"`
}

// defaultTop and maxTop are how many keys of each list are shown.
const defaultTop, maxTop = 10, 100

// top serves GET /v1/admin/top.
func (a *admin) top(w http.ResponseWriter, r *http.Request) {
	values, err := parameters(r.URL.RawQuery, []string{"count", "keys"})
	count, keys := defaultTop, values[1]
	if err == nil && values[0].given {
		count, err = strconv.Atoi(values[0].text)
		if err != nil || count < 1 || count > maxTop {
			err = bucketring.Invalidf("count must be a number from 1 to %d", maxTop)
		}
	}
	if err == nil && keys.given && keys.text != "0" && keys.text != "1" {
		err = bucketring.Invalidf("keys must be 1 to see keys as they are, or 0")
	}
	clear := keys.text == "1"
	switch {
	case err != nil:
	case a.config.Top == nil:
		err = problemf(http.StatusNotImplemented, "this node does not know which keys are asked for")
	case clear && !a.config.ClearKeys:
		err = problemf(http.StatusForbidden, "this node shows keys as hashes only: start it with --log-keys to see them")
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	top := a.config.Top(count, clear)
	top.Hottest, top.MostDenied = append([]TopKey{}, top.Hottest...), append([]TopKey{}, top.MostDenied...)
	body, err := json.Marshal(top)
	if err != nil { // a NaN
		a.fail(w, r, fmt.Errorf("httpapi: encode the top keys: %w", err))
		return
	}
	writeJSON(w, http.StatusOK, append(body, '\n'))
}
