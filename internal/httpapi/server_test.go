package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bucketring/bucketring/internal/httpapi"
)

// listen serves h with the bounds of the client listener and returns its URL.
func listen(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config = httpapi.Server(h, nil)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func TestServerBounds(t *testing.T) {
	s := httpapi.Server(http.NotFoundHandler(), nil)
	got := []any{s.ReadHeaderTimeout, s.ReadTimeout, s.WriteTimeout, s.IdleTimeout, s.MaxHeaderBytes, s.Protocols.String()}
	want := []any{5 * time.Second, 10 * time.Second, 10 * time.Second, 75 * time.Second, 32 << 10, "{HTTP1}"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("bounds = %v, want %v", got, want)
	}
}

// TestKeepAlive sends calls of every kind through one connection.
func TestKeepAlive(t *testing.T) {
	s := listen(t, newHandler(answering(allowed(), nil)))
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	body := `{"key":"a","limit":"3/m"}`
	for _, tt := range []struct {
		method, target, kind string
		want                 int
	}{
		{"POST", "/v1/take", "application/json", 200},
		{"POST", "/v1/take", "text/plain", 415}, // the body is not read by the handler
		{"POST", "/v1/take?x=1", "application/json", 400},
		{"POST", "/nowhere", "application/json", 404},
		{"HEAD", "/v1/take?key=a&limit=3/m", "", 200},
		{"HEAD", "/livez", "", 200},
		{"HEAD", "/v1/refund", "", 405},
		{"GET", "/v1/take?key=a&limit=3/m", "", 200},
		{"POST", "/v1/take/batch", "application/json", 400},
	} {
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: h\r\n", tt.method, tt.target)
		if tt.method == "POST" {
			fmt.Fprintf(conn, "Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", tt.kind, len(body), body)
		} else {
			fmt.Fprint(conn, "\r\n")
		}
		resp, err := http.ReadResponse(answers, &http.Request{Method: tt.method})
		if err != nil {
			t.Fatalf("%s %s: %v", tt.method, tt.target, err)
		}
		text, err := io.ReadAll(resp.Body)
		if resp.StatusCode != tt.want || err != nil || resp.Close {
			t.Errorf("%s %s: status %d, error %v, close %v, want %d on an open connection",
				tt.method, tt.target, resp.StatusCode, err, resp.Close, tt.want)
		}
		if (tt.method == "HEAD") != (len(text) == 0) {
			t.Errorf("%s %s: body %q", tt.method, tt.target, text)
		}
		if resp.ContentLength <= 0 {
			t.Errorf("%s %s: Content-Length %d, want that of a GET", tt.method, tt.target, resp.ContentLength)
		}
		if got := resp.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s %s: Cache-Control %q", tt.method, tt.target, got)
		}
	}
}

// TestHeadTakes: HEAD is a GET whose answer has no body, and takes like one.
func TestHeadTakes(t *testing.T) {
	var seen []string
	s := listen(t, newHandler(echo(&seen)))
	resp, err := http.Head(s.URL + "/v1/take?key=alice&limit=3/m")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if len(seen) != 1 || resp.Header.Get("X-Ratelimit-Limit") == "" {
		t.Errorf("takes %v, header %v, want one take and its fields", seen, resp.Header)
	}
}

// TestBodyBomb sends a body without an end: what the server takes is bounded,
// and it hangs up.
func TestBodyBomb(t *testing.T) {
	var seen []string
	s := listen(t, newHandler(echo(&seen)))
	for _, path := range []string{"/v1/take", "/v1/take/batch", "/v1/refund"} {
		var body counted
		resp, err := http.Post(s.URL+path, "application/json", &body)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		resp.Body.Close()
		if resp.StatusCode != 413 || !resp.Close {
			t.Errorf("%s: status %d, close %v, want 413 and a closed connection", path, resp.StatusCode, resp.Close)
		}
		// 256 KiB by us, as much by net/http before it gives up, and what
		// sockets hold.
		if n := body.n.Load(); n > 16<<20 {
			t.Errorf("%s: %d bytes were sent", path, n)
		}
	}
	if len(seen) > 0 {
		t.Errorf("%d requests were carried out, want none", len(seen))
	}
}

// counted is an endless body that another goroutine may ask how far it got.
type counted struct{ n atomic.Int64 }

func (c *counted) Read(p []byte) (int, error) {
	clear(p)
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func TestHandlerReadsNoMoreThanTheBound(t *testing.T) {
	h := newHandler(answering(allowed(), nil))
	body := &endless{}
	r := httptest.NewRequest("POST", "/v1/take", body)
	r.ContentLength = -1 // chunked
	r.Header.Set("Content-Type", "application/json")
	w := serve(h, r)
	if w.Code != 413 || body.read != httpapi.MaxBody+1 {
		t.Errorf("status %d after %d bytes, want 413 after %d", w.Code, body.read, httpapi.MaxBody+1)
	}
	golden(t, "too_large.golden", dump(w))

	announced := &endless{}
	r = httptest.NewRequest("POST", "/v1/take", announced)
	r.ContentLength = httpapi.MaxBody + 1
	r.Header.Set("Content-Type", "application/json")
	if w := serve(h, r); w.Code != 413 || announced.read > 0 {
		t.Errorf("status %d after %d bytes, want 413 without reading", w.Code, announced.read)
	}
}

// broken is a body that ends with an error.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestBodyBreaksOff(t *testing.T) {
	h := newHandler(answering(allowed(), nil))
	for _, tt := range []struct {
		err  error
		want int
		text string
	}{
		{io.ErrUnexpectedEOF, 400, "the body could not be read to its end"},
		{os.ErrDeadlineExceeded, 408, "the body did not arrive in time: send it within 10s"},
	} {
		r := httptest.NewRequest("POST", "/v1/take", broken{tt.err})
		r.Header.Set("Content-Type", "application/json")
		w := serve(h, r)
		if got := detail(t, w); w.Code != tt.want || got != tt.text {
			t.Errorf("answer = %d %s\nwant     %d %s", w.Code, got, tt.want, tt.text)
		}
	}
}
