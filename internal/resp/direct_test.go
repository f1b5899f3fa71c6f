package resp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/internal/resp"
)

// TestRepliesThatTheSocketDoesNotTake: on a real socket, whose room ends, every reply
// arrives once and in order, whoever writes it.
func TestRepliesThatTheSocketDoesNotTake(t *testing.T) {
	c := dial(t, resp.Config{Limiter: limiterFunc(allowing)})
	if err := c.(*net.TCPConn).SetReadBuffer(256 << 10); err != nil {
		t.Fatal(err)
	}
	const commands = 300
	text := func(i int) string { return fmt.Sprintf("%06d", i) + strings.Repeat("x", 20_000) } // 6 MB
	sent := make(chan error, 1)
	go func() {
		var failed error
		for i := 0; i < commands && failed == nil; i++ {
			_, failed = fmt.Fprintf(c, "*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(text(i)), text(i))
		}
		sent <- failed
	}()
	if err := <-sent; err != nil { // nothing is read until then
		t.Fatal(err)
	}
	replies := bufio.NewReader(c)
	for i := range commands {
		want := fmt.Sprintf("$%d\r\n%s\r\n", len(text(i)), text(i))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(replies, got); err != nil || string(got) != want {
			t.Fatalf("reply %d begins with %.20q, %v, want %.20q", i, got, err, want)
		}
	}
}
