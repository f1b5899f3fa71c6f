package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

func TestTopText(t *testing.T) {
	top := topAnswer{Node: "n1", Seconds: 12.6, Clear: true, Hottest: []topKey{
		{Namespace: "shop", Limit: "calls", Key: `user="u 1" ip=::1`, Takes: 126_000, Denied: 63},
		{Limit: "\x1b[2Jname", Key: "\x1b[31mred\u202e", Takes: 6},
	}}
	const want = `n1: the last 13 s through its own doors, keys as callers gave them

hottest
KEY                   LIMIT       TAKES/S  DENIED/S
user="u 1" ip=::1     shop/calls  10000.0  5.0
"\x1b[31mred\u202e"   "\x1b[2Jname"      0.5      0.0

most denied
no key stands out
`
	got := top.text()
	if norm(got) != norm(want) {
		t.Errorf("text =\n%s\nwant\n%s", got, want)
	}
	for key, want := range map[string]string{
		"":                                    `""`,
		"\xff":                                `"\xff"`,
		"é":                                   "é",
		string(bytes.Repeat([]byte("k"), 61)): string(bytes.Repeat([]byte("k"), 59)) + "…",
		string(bytes.Repeat([]byte("k"), 60)): string(bytes.Repeat([]byte("k"), 60)),
	} {
		if got := printable(key); got != want {
			t.Errorf("printable(%q) = %s, want %s", key, got, want)
		}
	}
}

// norm makes all runs of blanks one.
func norm(text string) string { return string(bytes.Join(bytes.Fields([]byte(text)), []byte(" "))) }

// TestEachSecond: now, each second, and no longer than somebody looks on.
func TestEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer stop()
		times := 0
		err := eachSecond(ctx, func(context.Context) error { times++; return nil })
		if err != nil || times != 4 {
			t.Errorf("eachSecond = %v after %d times, want nil after 4", err, times)
		}
		broken := errors.New("broken")
		if err := eachSecond(t.Context(), func(context.Context) error { return broken }); err != broken {
			t.Errorf("eachSecond = %v, want %v", err, broken)
		}
		if err := eachSecond(ctx, func(ctx context.Context) error { return ctx.Err() }); err != nil {
			t.Errorf("eachSecond that was interrupted = %v, want nil", err)
		}
	})
}

// TestNobodyLooksOn: files, pipes and the null device get one answer, and no escapes.
func TestNobodyLooksOn(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if isTerminal(null) || isTerminal(file) || isTerminal(new(bytes.Buffer)) {
		t.Errorf("isTerminal = %v, %v, %v of the null device, a file and a buffer, want false", isTerminal(null), isTerminal(file), isTerminal(new(bytes.Buffer)))
	}
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no terminal to try: %v", err)
	}
	defer terminal.Close()
	if !isTerminal(terminal) {
		t.Error("isTerminal of a terminal = false")
	}
}
