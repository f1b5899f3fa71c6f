// direct.go writes replies from the goroutine that reads: waking the writer for them costs
// more than the system call.

package resp

import (
	"net"
	"syscall"
)

// A direct writes to a socket what it takes at once. The zero value writes nothing. It
// belongs to one goroutine at a time.
type direct struct {
	raw   syscall.RawConn // nil where there is no plain socket, as under TLS
	bytes []byte
	wrote int
	once  func(fd uintptr) (done bool)
}

func newDirect(nc net.Conn) *direct {
	d := &direct{}
	socket, ok := nc.(*net.TCPConn)
	if !ok {
		return d
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return d
	}
	d.raw = raw
	d.once = func(fd uintptr) bool { // made once: each one costs memory
		n, err := writeOnce(fd, d.bytes)
		if err == nil {
			d.wrote = n
		}
		return true // whatever became of it: the rest is the writer's, and so is an error
	}
	return d
}

// write returns how many bytes the socket has taken. It never waits.
func (d *direct) write(b []byte) int {
	if d.raw == nil {
		return 0
	}
	d.bytes, d.wrote = b, 0
	if d.raw.Write(d.once) != nil {
		return 0
	}
	d.bytes = nil
	return d.wrote
}
