// timers_linux.go lets a node sleep longer: decision 0046 says what for.

package main

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is how late the kernel may wake a sleeping thread of a node. Nothing here
// counts on less: timers are of milliseconds, and what arrives wakes whoever waits for it
// at once. The kernel's default is 50 µs.
const timerSlack = 500 * time.Microsecond

// relaxTimers gives all threads of the process timerSlack. Threads have that of the one
// that started them, and Go starts its first before any code of ours, so the program
// begins anew, as the same process with the same arguments. Call it first: what the program has
// done until then is lost. It returns if the slack is as long already, and if anything
// fails: a node works without it and takes more processor time.
func relaxTimers() {
	runtime.LockOSThread() // whose slack it is, and who begins anew
	defer runtime.UnlockOSThread()
	if slack, err := slackNow(); err != nil || slack >= timerSlack {
		return
	}
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) != nil {
		return
	}
	// Looked at, because a kernel that says yes and does nothing would never let it end.
	if slack, err := slackNow(); err != nil || slack < timerSlack {
		return
	}
	if path, err := os.Executable(); err == nil {
		_ = syscall.Exec(path, os.Args, os.Environ())
	}
}

// slackNow returns the timer slack of the calling thread.
func slackNow() (time.Duration, error) {
	ns, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return time.Duration(ns), err
}
