// openapi.go serves the description of the API.

package httpapi

import (
	_ "embed"
	"net/http"
)

// description is openapi.yaml, which says of each call what it takes and answers.
//
//go:embed openapi.yaml
var description []byte

// openAPI answers with the description of the API. It says nothing of this node, so pages of
// other sites may read it.
func (h *Handler) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "max-age=3600")
	_, _ = w.Write(description)
}
