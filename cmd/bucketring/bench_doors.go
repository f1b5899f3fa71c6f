// bench_doors.go makes bench's calls, as a client of each door would.

package main

import (
	"bufio"
	"context"
	"crypto/tls"
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
		c, err := client.Dial(ctx, client.Config{
			Addrs: []string{addr}, Unary: cfg.unary, TLS: cfg.credentials.tls, Token: cfg.credentials.token, TokenInClear: cfg.credentials.inClear,
		})
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
	transport.TLSClientConfig = cfg.credentials.tls
	askers := make([]*asker, len(cfg.addrs))
	for i, addr := range cfg.addrs {
		askers[i] = cfg.credentials.asker(addr)
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
		var err error
		if conns[i], err = dialRESP(ctx, cfg.addrs[i%len(cfg.addrs)], cfg.credentials); err != nil {
			end()
			return nil, nil, err
		}
		conns[i].tail = respWords(
			strconv.FormatInt(l.Capacity()-1, 10), strconv.FormatInt(l.Amount, 10), strconv.FormatInt(int64(l.Per/time.Second), 10))
	}
	return func(ctx context.Context, caller int, key string) (workload.Answer, error) {
		return conns[caller].throttle(ctx, key)
	}, end, nil
}

// dialRESP connects to a node as a Redis client, and says who it is.
func dialRESP(ctx context.Context, addr string, who credentials) (*respConn, error) {
	var dialer interface {
		DialContext(ctx context.Context, network, addr string) (net.Conn, error)
	} = new(net.Dialer)
	if who.tls != nil {
		dialer = &tls.Dialer{Config: who.tls}
	} else if !who.mayShow(addr) {
		return nil, usage(inClear(addr))
	}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%w: does a node listen there? serve needs --listen-resp", err)
	}
	c := &respConn{conn: conn, replies: bufio.NewReader(conn)}
	if who.token == "" {
		return c, nil
	}
	_, err = conn.Write([]byte("*2\r\n" + respWords("AUTH", who.token)))
	if err == nil {
		var reply string
		if reply, err = c.replies.ReadString('\n'); err == nil && reply != "+OK\r\n" {
			err = fmt.Errorf("%s refuses the token: %s", addr, strings.TrimSpace(reply))
		}
	}
	if err != nil {
		_ = conn.Close() // of no use
		return nil, err
	}
	return c, nil
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
