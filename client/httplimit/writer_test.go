package httplimit_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/client/httplimit"
)

// limited puts a limit of ten around an application.
func limited(t testing.TB, app http.HandlerFunc) http.Handler {
	return httplimit.PerKey(newNode(t), "10/h", httplimit.RemoteIP)(app)
}

// TestApplicationsOwnHeaders: who sets a rate header speaks for all of them.
func TestApplicationsOwnHeaders(t *testing.T) {
	ours := map[string][]string{"X-Ratelimit-Limit": {"10"}, "X-Ratelimit-Remaining": {"9"}}
	mine := map[string][]string{"X-Ratelimit-Limit": {"7"}}
	for _, tt := range []struct {
		name string
		app  http.HandlerFunc
		want map[string][]string
	}{
		{"nothing", func(http.ResponseWriter, *http.Request) {}, ours},
		{"status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, ours},
		{"write", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }, ours},
		{"text", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, ours},
		{"copy", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(strings.NewReader("x"), 1))
		}, ours},
		{"flush", func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() }, ours},
		{"flush with errors", func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() }, ours},
		{"error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }, ours},
		{"set", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-RateLimit-Limit", "7") }, mine},
		{"add", func(w http.ResponseWriter, _ *http.Request) { w.Header().Add("X-RateLimit-Limit", "7") }, mine},
		{"another spelling", func(w http.ResponseWriter, _ *http.Request) { w.Header()["X-RateLimit-Limit"] = []string{"7"} }, mine},
		{"suppressed", func(w http.ResponseWriter, _ *http.Request) { w.Header()["X-Ratelimit-Limit"] = nil }, map[string][]string{}},
		{"the draft's", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("RateLimit", `"a";r=1`) }, map[string][]string{"Ratelimit": {`"a";r=1`}}},
		{"a proxy", proxy(t, "7"), mine},
		{"a proxy of something without", proxy(t, ""), ours},
		{"a limit that is nearer", func(w http.ResponseWriter, r *http.Request) {
			httplimit.PerKey(newNode(t), "7/h", httplimit.RemoteIP)(hello).ServeHTTP(w, r)
		}, map[string][]string{"X-Ratelimit-Limit": {"7"}, "X-Ratelimit-Remaining": {"6"}}},
		{"a denial that is nearer", func(w http.ResponseWriter, r *http.Request) {
			httplimit.PerKey(newNode(t), "0/h", httplimit.RemoteIP)(hello).ServeHTTP(w, r)
		}, map[string][]string{"X-Ratelimit-Limit": {"0"}, "X-Ratelimit-Remaining": {"0"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := httptest.NewServer(limited(t, tt.app))
			defer server.Close()
			resp, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got := map[string][]string{}
			for name, values := range resp.Header {
				if strings.Contains(strings.ToLower(name), "ratelimit") && name != "X-Ratelimit-Reset" {
					got[name] = values
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("rate headers (-want +got):\n%s", diff)
			}
		})
	}
}

// proxy forwards to a server that has such a header of its own.
func proxy(t *testing.T, limit string) http.HandlerFunc {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if limit != "" {
			w.Header().Set("X-RateLimit-Limit", limit)
		}
	}))
	t.Cleanup(upstream.Close)
	to, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(to).ServeHTTP
}

// TestDenialReplacesHeaders: what a layer outside has said about another answer goes.
func TestDenialReplacesHeaders(t *testing.T) {
	denied := httplimit.PerKey(newNode(t), "0/h", httplimit.RemoteIP)(hello)
	w := httptest.NewRecorder()
	for name, value := range map[string]string{
		"X-RateLimit-Reset": "7", "RateLimit": "x", "Retry-After": "7", "Content-Length": "7", "Content-Encoding": "gzip",
		"Etag": "x", "Cache-Control": "public", "Server": "stays",
	} {
		w.Header().Set(name, value)
	}
	w.Header()["X-RateLimit-Limit"] = []string{"7"}
	denied.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	want := http.Header{
		"X-Ratelimit-Limit": {"0"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": w.Header()["X-Ratelimit-Reset"],
		"Content-Type": {"application/problem+json"}, "Cache-Control": {"no-store"}, "Server": {"stays"},
	}
	if diff := cmp.Diff(want, w.Header()); diff != "" || w.Header().Get("X-RateLimit-Reset") == "7" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// TestInterimAnswers have no rate headers; the one that counts has them once.
func TestInterimAnswers(t *testing.T) {
	server := httptest.NewServer(limited(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
	in := textproto.NewReader(bufio.NewReader(conn))
	for _, want := range []struct {
		status string
		limit  []string
	}{{"HTTP/1.1 103 Early Hints", nil}, {"HTTP/1.1 418 I'm a teapot", []string{"10"}}} {
		status, err := in.ReadLine()
		if err != nil {
			t.Fatal(err)
		}
		header, err := in.ReadMIMEHeader()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.limit, header["X-Ratelimit-Limit"]); diff != "" || status != want.status {
			t.Errorf("%s, want %s, limit (-want +got):\n%s", status, want.status, diff)
		}
	}
}

// TestConnectionIsReachable: what a server's writer can do, an application can.
func TestConnectionIsReachable(t *testing.T) {
	for name, hijack := range map[string]func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"Hijacker": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"controller": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	} {
		server := httptest.NewServer(limited(t, func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Errorf("SetWriteDeadline = %v", err)
			}
			conn, out, err := hijack(w)
			if err != nil {
				t.Errorf("%s: Hijack = %v", name, err)
				return
			}
			defer conn.Close()
			fmt.Fprint(out, "HTTP/1.1 299 Mine\r\nContent-Length: 0\r\n\r\n")
			_ = out.Flush()
		}))
		resp, err := server.Client().Get(server.URL)
		if err != nil || resp.Status != "299 Mine" || len(resp.Header["X-Ratelimit-Limit"]) != 0 {
			t.Errorf("%s: %v %v, want the answer of who has the connection", name, resp, err)
		} else {
			resp.Body.Close()
		}
		server.Close()
	}
	h := limited(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := w.(http.Pusher).Push("/a", nil); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Push = %v, want ErrNotSupported", err)
		}
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack = %v, want ErrNotSupported", err)
		}
	})
	get(h, "GET", "/")
}

// TestStreams: parts arrive while the handler runs.
func TestStreams(t *testing.T) {
	goOn := make(chan struct{})
	server := httptest.NewServer(limited(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "one\n")
		w.(http.Flusher).Flush()
		<-goOn
		fmt.Fprint(w, "two\n")
	}))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	in := bufio.NewReader(resp.Body)
	if line, err := in.ReadString('\n'); line != "one\n" || err != nil {
		t.Errorf("first part %q, %v", line, err)
	}
	close(goOn)
	if line, err := in.ReadString('\n'); line != "two\n" || err != nil {
		t.Errorf("second part %q, %v", line, err)
	}
}

// TestDecisionIsWhatIsShown: fields with decimals are rounded down, and a limit without
// a reset has none.
func TestDecisionIsWhatIsShown(t *testing.T) {
	for _, tt := range []struct {
		d    bucketring.Decision
		want http.Header
	}{
		{bucketring.Decision{LimitState: bucketring.LimitState{Limit: 45299, Remaining: 199, Precision: 2, ResetAt: 7}},
			http.Header{"X-Ratelimit-Limit": {"452"}, "X-Ratelimit-Remaining": {"1"}, "X-Ratelimit-Reset": {"7"}}},
		{bucketring.Decision{LimitState: bucketring.LimitState{Limit: 5, Remaining: 4, Kind: bucketring.KindConcurrency}},
			http.Header{"X-Ratelimit-Limit": {"5"}, "X-Ratelimit-Remaining": {"4"}}},
	} {
		tt.d.Allowed = true
		h := httplimit.PerKey(says(tt.d), "1/m", httplimit.RemoteIP)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		if diff := cmp.Diff(tt.want, get(h, "GET", "/").Header()); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
	}
}
