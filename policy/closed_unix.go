//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package policy

import (
	"errors"
	"syscall"
)

// canChange reports whether permissions to write are worth something: on what is mounted to
// be read only, as Kubernetes does with a ConfigMap whose folder all may write, they are not.
func canChange(name string) bool {
	const toWrite = 2
	return !errors.Is(syscall.Access(name, toWrite), syscall.EROFS)
}
