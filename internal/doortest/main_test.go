// main_test.go has the flag, builds the binary and finds programs.

package doortest_test

import (
	"flag"
	"fmt"
	"io/fs"
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

// house is the folder of the module.
const house = "../.."

var programs = flag.Bool("programs", false, "start programs: nodes, proxies and interpreters")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// built is the binary under test, made by the first test that needs it.
var built struct {
	once sync.Once
	dir  string // of what was built; empty for a binary that was given
	path string
	err  error
}

// binary returns the path of bucketring.
func binary(t *testing.T) string {
	t.Helper()
	if !*programs {
		t.Skip("skipped: starts programs: give -programs")
	}
	built.once.Do(build)
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func build() {
	if built.path = os.Getenv("BUCKETRING_BIN"); built.path != "" {
		built.path, built.err = filepath.Abs(built.path)
		return
	}
	if built.err = readFolders(house); built.err != nil {
		return
	}
	if built.dir, built.err = os.MkdirTemp("", "bucketring-doortest-"); built.err != nil {
		return
	}
	built.path = filepath.Join(built.dir, "bucketring")
	out, err := exec.Command("go", "build", "-o", built.path, "github.com/bucketring/bucketring/cmd/bucketring").CombinedOutput()
	if err != nil {
		built.err = fmt.Errorf("go build: %w:\n%s", err, out)
	}
}

// readFolders looks into all folders with sources. go test takes note of it, and
// does not show an old result when one has changed.
func readFolders(root string) error {
	return filepath.WalkDir(root, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		return err
	})
}

// find returns the path of a program, or skips the test and says which package of
// Debian has it.
func find(t *testing.T, program, pkg string) string {
	t.Helper()
	for _, name := range []string{program, "/usr/sbin/" + program, "/usr/bin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skipf("skipped: there is no %s here: .ci/programs.sh, or apt-get install %s", program, pkg)
	return ""
}

// read returns a file of the house.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(house, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
