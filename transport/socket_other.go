//go:build !linux

package transport

import "net"

// resendSoon does nothing: this system has no such option.
func resendSoon(net.Conn) {}
