package httpapi

import (
	"log"
	"net/http"
	"time"
)

// Bounds of a connection. What is slower or larger is closed or refused.
const (
	headerTime     = 5 * time.Second
	readTime       = 10 * time.Second
	writeTime      = 10 * time.Second
	idleTime       = 75 * time.Second
	maxHeaderBytes = 32 << 10
)

// Server returns an HTTP/1.1 server for handler with the bounds of the client
// listener: a header within 5 s and 32 KiB, a whole request within 10 s, its
// answer within 10 s, an idle connection for 75 s. What net/http has to say
// about connections goes to errorLog; nil means the standard logger. The caller
// chooses the listener, serves and shuts down.
func Server(handler http.Handler, errorLog *log.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Server{
		Handler:           handler,
		ErrorLog:          errorLog,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       readTime,
		WriteTimeout:      writeTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         protocols,
	}
}
