package resp_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// seeds are commands and what breaks them.
func seeds(f *testing.F) {
	for _, in := range []string{
		"PING\r\nECHO \"a\\x00\"\n", wire("HELLO", "3", "AUTH", "u", "good", "SETNAME", "n") + wire("CLIENT", "GETNAME"),
		throttled("k", 2, 1) + throttled("far", 3, 0) + throttled("k", 4, -1) + wire("DEL", "k", "far", "k") + wire("EXISTS", "k"),
		wire("AUTH", "good") + wire("COMMAND", "DOCS") + wire("INFO") + wire("TIME") + wire("CLUSTER", "SLOTS") + wire("RESET"),
		"AUTH good\nCL.THROTTLE k 9223372036854775806 9223372036854775807 9223372036854775807 -9223372036854775808\r\nQUIT\r\n",
		wire("SET", "k", "-5", "NX", "EX", "9", "GET") + wire("INCREX", "far", "BYINT", "3", "UBOUND", "4", "PX", "5", "ENX") + wire("GET", "k") + wire("DECRBY", "k", "2"),
		"INCR far\nCL.THROTTLE far 1 1 1\nTTL far\nPTTL k\nSET k 9223372036854775807 KEEPTTL\nINCRBY k 1\nINCREX k SATURATE PERSIST LBOUND 1\n",
		"HELLO 3\nGET far\nSET far 1 XX PXAT 5\nEXPIRE k 5 GT XX\nPEXPIRE far -1 LT\nEXPIRE k 1 \"\\r\\n:1\"\nDEL k far\nDECR k\n",
		wire("RL.TAKE", "shop", "user", "u\r\n", "COST", "1.5") + wire("RL.PEEK", "shp") + wire("RL.USAGE", "shop", "user", "u") + wire("RL.RENEW", leaseA, leaseB),
		"HELLO 3\nRL.TAKE shop COST 0\nRL.USAGE shop COST 1\nRL.PEEK shop a \"\" a b\nRL.TAKE \"\"\nRL.TAKE shop COST 9223372036854775807.9999999999\n",
		"RL.RELEASE " + leaseA + " x\nRL.SETTLE " + leaseA + " 0.5\nRL.SETTLE " + leaseB + " 1\nRL.USAGE shop a\nRL.TAKE \": did you mean \\\"x\\\"?\"\n",
		"AUTH good\nNONSENSE \"\\r\\n\" '\r\n" + wire("SELECT", "0", "\r\n"), wire("CL.THROTTLE", "\xff", "x\r\n", "1", "1"),
	} {
		f.Add([]byte(in), uint16(len(in)))
		f.Add([]byte(in), uint16(3))
	}
	for _, b := range broken {
		if len(b.in) < 100 {
			f.Add([]byte(b.in), uint16(5))
		}
	}
}

func FuzzDecoder(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, in []byte, piece uint16) {
		for _, stranger := range []bool{false, true} {
			whole, pieces := resp.NewDecoder(), resp.NewDecoder()
			whole.Stranger, pieces.Stranger = stranger, stranger
			want, wantErr := whole.Feed(bytes.Clone(in))
			var got [][]string
			var err error
			for fed, rest := 0, in; len(rest) > 0 && err == nil; {
				n := min(int(piece)+1, len(rest))
				var more [][]string
				more, err = pieces.Feed(rest[:n])
				got, rest, fed = append(got, more...), rest[n:], fed+n
				// Spans and words take up to 32 bytes for the 6 of an argument.
				if c := pieces.Capacity(); c > 8<<10+16*fed {
					t.Fatalf("%d bytes are reserved after %d", c, fed)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" || fmt.Sprint(wantErr) != fmt.Sprint(err) {
				t.Fatalf("in one piece %v, in many %v (-one +many)\n%s", wantErr, err, diff)
			}
			for _, words := range got {
				if len(words) == 0 || len(words) > 1024 || stranger && len(words) > 10 {
					t.Fatalf("a command of %d words", len(words))
				}
			}
		}
	})
}

// A script is a connection whose client says all it has to say, in pieces, and reads
// everything.
type script struct {
	net.Conn // nil: what is not below is not called
	in       []byte
	piece    int
	out      bytes.Buffer
	closed   chan struct{}
	once     sync.Once
}

func (s *script) Read(b []byte) (int, error) {
	if len(s.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b, s.in[:min(s.piece, len(s.in))])
	s.in = s.in[n:]
	return n, nil
}

func (s *script) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *script) Close() error                     { s.once.Do(func() { close(s.closed) }); return nil }
func (s *script) SetReadDeadline(time.Time) error  { return nil }
func (s *script) SetWriteDeadline(time.Time) error { return nil }

// FuzzConnection says anything to a server and demands that all it answers are replies.
func FuzzConnection(f *testing.F) {
	seeds(f)
	c := newCell()
	d := open(f, resp.Config{
		Guard: tokens{"good": allScopes},
		Limiter: immediate{c.Take, func(req *bucketring.Request, d *bucketring.Decision) bool {
			return !strings.HasPrefix(req.Key, "far") && c.TakeNow(0, req, d)
		}},
	})
	f.Cleanup(d.close)
	f.Fuzz(func(t *testing.T, in []byte, piece uint16) {
		for _, first := range []string{"", "AUTH good\r\n"} {
			s := &script{in: append([]byte(first), in...), piece: int(piece) + 1, closed: make(chan struct{})}
			d.pipes.conns <- s
			<-s.closed
			for r := bufio.NewReader(&s.out); ; {
				text, err := readReply(r)
				if errors.Is(err, io.EOF) && text == "" {
					break
				}
				if err != nil {
					t.Fatalf("%q is no reply: %v", text, err)
				}
			}
		}
		if n := d.Stats().Panics; n != 0 {
			t.Fatalf("%d panics", n)
		}
	})
}
