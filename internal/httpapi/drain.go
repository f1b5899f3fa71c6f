package httpapi

import (
	"fmt"
	"net/http"

	"github.com/bucketring/bucketring"
)

// A Drainer takes a node out of its cluster. Its methods are safe for concurrent use
// and do not wait.
type Drainer interface {
	// Drain begins to hand all counters over, once. The node answers on.
	Drain()
	// Leave is Drain, after which the process ends.
	Leave()
	// Progress says how far that is.
	Progress() Progress
}

// A Progress is the state of a drain.
type Progress struct {
	// State is joining, serving, draining, drained, or incomplete: the time was over
	// before all was handed over, or there is nobody to have it.
	State          string
	PartitionsLeft int   // that are still here
	HandedOver     int64 // counters that others have got since the node began
}

// drain serves POST /v1/admin/drain and /v1/admin/leave, which do not wait, and GET
// /v1/admin/drain.
func (a *admin) drain(begin func(Drainer)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := noQuery(r)
		if err == nil && r.ContentLength != 0 {
			err = bucketring.Invalidf("a drain takes no fields: leave the body out")
		}
		switch {
		case err != nil:
			a.fail(w, r, err)
			return
		case a.drainer == nil:
			a.fail(w, r, problemf(http.StatusNotImplemented, "this node cannot be drained from afar"))
			return
		}
		if begin != nil {
			begin(a.drainer)
		}
		p := a.drainer.Progress()
		if begin != nil && p.State == "joining" {
			a.fail(w, r, problemf(http.StatusServiceUnavailable, "the node is still joining and has nothing to give: try again when it is ready"))
			return
		}
		writeJSON(w, http.StatusOK, fmt.Appendf(nil, `{"state":%q,"partitions_left":%d,"handed_over":%d}`+"\n", p.State, p.PartitionsLeft, p.HandedOver))
	}
}
