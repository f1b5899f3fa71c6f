// demo_test.go runs the demo as it is.

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// promises is how many facts the demo holds against what is allowed.
const promises = 11

func TestDemo(t *testing.T) {
	// Nodes inherit the environment, so this finds them wherever they belong.
	mark := fmt.Sprintf("TEST_DEMO=%d-%d", os.Getpid(), time.Now().UnixNano())
	temp := t.TempDir()
	began := time.Now()
	p, err := launch("", childEnv(mark, "TMPDIR="+temp), "bucketring", "demo")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	most := 0
	for ended := false; !ended; {
		select {
		case <-p.ended:
			ended = true
		case <-time.After(200 * time.Millisecond):
			most = max(most, len(marked(t, mark)))
		}
	}
	t.Logf("demo took %v, promised are 30s; up to %d processes at once:\n%s", time.Since(began).Round(time.Millisecond), most, p.log())
	checkDemo(t, p.log(), p.cmd.ProcessState.ExitCode())

	if runtime.GOOS == "linux" {
		if most < 4 {
			t.Errorf("at most %d processes ran, want the demo and three nodes: this test does not see them", most)
		}
		if left := marked(t, mark); len(left) > 0 {
			t.Errorf("processes %v are left", left)
		}
	}
	if files, err := os.ReadDir(temp); err != nil || len(files) > 0 {
		t.Errorf("temporary files %v are left, error %v", files, err)
	}
}

func checkDemo(t *testing.T, log string, code int) {
	t.Helper()
	if code != 0 {
		t.Errorf("exit code = %d, want 0", code)
	}
	if strings.Contains(log, "BROKEN") {
		t.Error("a promise is broken")
	}
	held := 0
	for line := range strings.Lines(log) {
		if strings.HasSuffix(strings.TrimRight(line, "\n"), " ok") {
			held++
		}
	}
	if held != promises {
		t.Errorf("%d lines end with ok, want %d", held, promises)
	}
	if err := containing(log, "every promise held", "admitted 100, allowed 100", "keys with exactly 10 admitted: 200 of 200"); err != nil {
		t.Error(err)
	}
}

// marked lists the processes that have mark in their environment.
func marked(t *testing.T, mark string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		env, err := os.ReadFile(name)
		if err == nil && bytes.Contains(env, []byte(mark)) {
			found = append(found, filepath.Base(filepath.Dir(name)))
		}
	}
	return found
}
