// socket.go makes TCP resend what a link lost while its calls still wait.

package transport

import "net"

// Listener returns l, whose connections then resend lost packets soon, as those that a
// Pool dials do: on Linux 6.15 and later, while elsewhere a lost packet costs the 200 ms
// that TCP waits, and the calls behind it are answered without their owner.
func Listener(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		resendSoon(conn)
	}
	return conn, err
}
