package transport

import (
	"net"
	"syscall"
)

// Options of linux/tcp.h since Linux 6.15, that syscall does not name: the least time
// after which TCP sends again, and the most for which it holds back what it acknowledges.
const (
	tcpRTOMinMicros    = 45
	tcpDelackMaxMicros = 46
)

// resendSoon sets both times to 5 ms, or, where the kernel counts in larger steps, to
// 20 ms. TCP still waits for as long as answers take beside that.
func resendSoon(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for _, option := range []int{tcpRTOMinMicros, tcpDelackMaxMicros} {
			for _, micros := range []int{5000, 20000} {
				if syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, option, micros) == nil {
					break
				}
			}
		}
	})
}
