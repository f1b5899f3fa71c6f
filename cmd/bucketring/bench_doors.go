// bench_doors.go makes bench's calls, as a client of each door would.

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client"
	"github.com/bucketring/bucketring/internal/workload"
)

// A benchCall takes one token of a key, for one of the callers.
type benchCall func(ctx context.Context, caller int, key string) (workload.Answer, error)

// open prepares the calls. end closes what they used.
func (cfg *benchConfig) open(ctx context.Context, limits []bucketring.Limit) (call benchCall, end func(), err error) {
	switch cfg.door {
	case "http":
		return cfg.openHTTP()
	case "resp":
		return cfg.openRESP(ctx, &limits[0])
	}
	return cfg.openGRPC(ctx, limits)
}

func (cfg *benchConfig) openGRPC(ctx context.Context, limits []bucketring.Limit) (benchCall, func(), error) {
	var clients []*client.Client
	end := func() {
		for _, c := range clients {
			_ = c.Close()
		}
	}
	for _, addr := range cfg.addrs {
		c, err := client.Dial(ctx, client.Config{Addrs: []string{addr}, Unary: cfg.unary})
		if err != nil {
			end()
			return nil, nil, err
		}
		clients = append(clients, c)
	}
	return func(ctx context.Context, caller int, key string) (workload.Answer, error) {
		d, err := clients[caller%len(clients)].Take(ctx, bucketring.Request{Key: key, Limits: limits, Cost: 1})
		return workload.Answer{Allowed: d.Allowed, Degraded: d.Degraded}, err
	}, end, nil
}

func (cfg *benchConfig) openHTTP() (benchCall, func(), error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, cfg.callers
	askers := make([]*asker, len(cfg.addrs))
	for i, addr := range cfg.addrs {
		askers[i] = newAsker(addr)
		askers[i].client.Transport = transport
	}
	return func(ctx context.Context, caller int, key string) (workload.Answer, error) {
		var d decision
		body := struct {
			Key   string `json:"key"`
			Limit string `json:"limit"`
		}{key, cfg.limit}
		_, err := askers[caller%len(askers)].call(ctx, http.MethodPost, "/v1/take", body, &d, http.StatusTooManyRequests)
		return workload.Answer{Allowed: d.Allowed, Degraded: d.Degraded}, err
	}, transport.CloseIdleConnections, nil
}

// openRESP gives each caller a connection of its own.
func (cfg *benchConfig) openRESP(ctx context.Context, l *bucketring.Limit) (benchCall, func(), error) {
	conns := make([]*respConn, cfg.callers)
	end := func() {
		for _, c := range conns {
			if c != nil {
				_ = c.conn.Close()
			}
		}
	}
	for i := range conns {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", cfg.addrs[i%len(cfg.addrs)])
		if err != nil {
			end()
			return nil, nil, fmt.Errorf("%w: does a node listen there? serve needs --listen-resp", err)
		}
		conns[i] = &respConn{conn: conn, replies: bufio.NewReader(conn), tail: respWords(
			strconv.FormatInt(l.Capacity()-1, 10), strconv.FormatInt(l.Amount, 10), strconv.FormatInt(int64(l.Per/time.Second), 10))}
	}
	return func(ctx context.Context, caller int, key string) (workload.Answer, error) {
		return conns[caller].throttle(ctx, key)
	}, end, nil
}

// A respConn is a connection of one caller.
type respConn struct {
	conn    net.Conn
	replies *bufio.Reader
	tail    string // the words behind the key
	broken  error
}

func respWords(words ...string) string {
	var text strings.Builder
	for _, word := range words {
		fmt.Fprintf(&text, "$%d\r\n%s\r\n", len(word), word)
	}
	return text.String()
}

// throttle sends CL.THROTTLE and reads its reply, a list of five integers. The
// connection is of no use after an error.
func (c *respConn) throttle(ctx context.Context, key string) (a workload.Answer, err error) {
	if c.broken != nil {
		return a, c.broken
	}
	defer func() { c.broken = err }()
	until, _ := ctx.Deadline()
	if err := c.conn.SetDeadline(until); err != nil {
		return a, err
	}
	if _, err := c.conn.Write([]byte("*5\r\n" + respWords("CL.THROTTLE", key) + c.tail)); err != nil {
		return a, err
	}
	var numbers [5]string
	head, err := c.replies.ReadString('\n')
	if err != nil || head != "*5\r\n" {
		return a, fmt.Errorf("reply %q, %v, want five integers", head, err)
	}
	for i := range numbers {
		if numbers[i], err = c.replies.ReadString('\n'); err != nil {
			return a, err
		}
	}
	return workload.Answer{Allowed: numbers[0] == ":0\r\n"}, nil
}
