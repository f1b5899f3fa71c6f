//go:build !unix

package proctest_test

import "errors"

func (n *node) pause() error  { return errors.ErrUnsupported }
func (n *node) resume() error { return errors.ErrUnsupported }
