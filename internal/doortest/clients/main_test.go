// main_test.go finds and builds programs.

package clients_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// slack is how long tests wait for what takes moments: a machine may be slow.
const slack = 45 * time.Second

// house is the folder of the main module.
const house = "../../.."

// built is the binary under test, made by the first test that needs it.
var built struct {
	once sync.Once
	dir  string // for it
	path string
	err  error
}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bucketring-clients-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built.dir = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// bucketring returns the path of the binary.
func bucketring(t *testing.T) string {
	t.Helper()
	built.once.Do(build)
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func build() {
	if given := os.Getenv("BUCKETRING_BIN"); given != "" {
		built.path, built.err = filepath.Abs(given)
		return
	}
	built.path = filepath.Join(built.dir, "bucketring")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", built.path, "./cmd/bucketring")
	cmd.Dir = house
	if out, err := cmd.CombinedOutput(); err != nil {
		built.err = fmt.Errorf("go build: %w:\n%s", err, out)
	}
}

// tool returns the path of a program that go.mod names as a tool. The go command keeps it
// in its cache.
func tool(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "tool", "-n", name).CombinedOutput()
	if err != nil {
		t.Fatalf("go tool -n %s: %v:\n%s", name, err, out)
	}
	return strings.TrimSpace(string(out))
}
