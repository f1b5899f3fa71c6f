//go:build unix

package rivals_test

import (
	"syscall"
	"time"
)

// cpuTime is what the process has used so far, of user and system time. Package
// bench has the same: test files cannot be shared.
func cpuTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
