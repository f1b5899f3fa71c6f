//go:build unix

package resp

import "syscall"

// writeOnce writes what the socket has room for. Sockets of Go never wait.
func writeOnce(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
