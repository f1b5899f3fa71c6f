package transport_test

import (
	"net"
	"syscall"
	"testing"

	"github.com/bucketring/bucketring/transport"
)

// A connection from the listener resends soon, on a kernel that knows how: it is asked
// for what the options of a plain connection are.
func TestListenerResendsSoon(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	plain, soon := accept(t, l), accept(t, transport.Listener(l))
	for _, option := range []int{45, 46} {
		before, err := tcpOption(t, plain, option)
		if err != nil {
			t.Logf("this kernel has no TCP option %d: %v", option, err)
			continue
		}
		if got, err := tcpOption(t, soon, option); err != nil || got > 20000 || got >= before {
			t.Errorf("TCP option %d = %d µs, %v, want at most 20000 where a plain connection has %d", option, got, err, before)
		}
	}
}

func accept(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	dialed, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close() })
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func tcpOption(t *testing.T, conn net.Conn, no int) (value int, err error) {
	t.Helper()
	raw, rawErr := conn.(*net.TCPConn).SyscallConn()
	if rawErr != nil {
		t.Fatal(rawErr)
	}
	if rawErr := raw.Control(func(fd uintptr) {
		value, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, no)
	}); rawErr != nil {
		t.Fatal(rawErr)
	}
	return value, err
}
