package resp_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/resp"
)

// instant is a Limiter that costs nothing: what is measured is the door.
func instant() bucketring.Limiter {
	return immediate{allowing, func(_ *bucketring.Request, d *bucketring.Decision) bool {
		d.Allowed, d.Remaining = true, 5
		return true
	}}
}

// exchange measures writing text and reading its replies, of commands commands.
func exchange(b *testing.B, text, want string, commands int) {
	c := dial(b, resp.Config{Limiter: instant()})
	in, out := []byte(text), make([]byte, len(want))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Write(in); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(c, out); err != nil {
			b.Fatal(err)
		}
	}
	if string(out) != want {
		b.Fatalf("got %q, want %q", out, want)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*commands), "ns/command")
}

// BenchmarkPipeline sends 100 commands on as many keys at once. One allocation for
// each is its key.
func BenchmarkPipeline(b *testing.B) {
	var text strings.Builder
	for i := range 100 {
		text.WriteString(wire("CL.THROTTLE", fmt.Sprint("user:", i), "15", "30", "60", "1"))
	}
	exchange(b, text.String(), strings.Repeat(numbers(0, 16, 5, -1, 0), 100), 100)
}

// BenchmarkOne waits for each reply before the next command.
func BenchmarkOne(b *testing.B) {
	exchange(b, wire("CL.THROTTLE", "user:1", "15", "30", "60"), numbers(0, 16, 5, -1, 0), 1)
}
