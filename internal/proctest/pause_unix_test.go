//go:build unix

// pause_unix_test.go holds a process and lets it go on.

package proctest_test

import "syscall"

// pause stops the node where it stands, once nobody asks it any more.
func (n *node) pause() error {
	n.retire()
	return n.cmd.Process.Signal(syscall.SIGSTOP)
}

// resume lets the node go on, and callers ask it.
func (n *node) resume() error {
	err := n.cmd.Process.Signal(syscall.SIGCONT)
	n.asked.Store(true)
	return err
}
