//go:build !unix

package resp

import "errors"

// writeOnce writes nothing: here only the writer does.
func writeOnce(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
