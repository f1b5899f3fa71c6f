// relay_test.go reaches into network namespaces.

package proctest_test

import (
	"io"
	"net"
	"os"
)

// relayEnv has the path of the socket for a test binary that is to be a relay,
// and relayToEnv the address that it leads to.
const (
	relayEnv   = "PROCTEST_RELAY"
	relayToEnv = "PROCTEST_RELAY_TO"
)

// relay carries connections from a Unix socket to a TCP address until its
// standard input ends. A socket's file can be reached from outside a network
// namespace, its addresses cannot.
func relay(socket string) {
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	l, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	for {
		in, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go carry(in, os.Getenv(relayToEnv))
	}
}

func carry(in net.Conn, to string) {
	defer func() { _ = in.Close() }()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = out.Close() }()
	go func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	}()
	_, _ = io.Copy(in, out)
}
