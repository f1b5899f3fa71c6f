// main_test.go has the flags, builds the binary, and prints figures.

package proctest_test

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

var (
	starts  = flag.Bool("processes", false, "start processes: alone on the machine, not beside other tests")
	runs    = flag.Int("runs", 1, "how often to run each test; the worst figures count")
	long    = flag.Bool("long", false, "run at full length, also the tests that cut networks")
	cutting = flag.Bool("net", false, "also run the tests that cut networks, which need root, ip and nft")
	strict  = flag.Bool("strict", false, "callers wait for 1 s and not longer; for a machine that does nothing else")
	budget  = flag.Duration("budget", 0, "forward budget of all nodes; 0 gives planned changes patience and leaves the default to faults")
)

func TestMain(m *testing.M) {
	if socket := os.Getenv(relayEnv); socket != "" {
		relay(socket)
		return
	}
	flag.Parse()
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	if n := skippedCuts.Load(); n > 0 {
		fmt.Printf("proctest: %d tests skipped for want of root, ip and nft\n", n)
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

// binary returns the path of the program.
func binary(t *testing.T) string {
	t.Helper()
	if !*starts {
		t.Skip("skipped: starts processes: run make test, or give -processes")
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
	if built.err = readFolders("../.."); built.err != nil {
		return
	}
	if built.dir, built.err = os.MkdirTemp("", "bucketring-proctest-"); built.err != nil {
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

// repeat runs a test as often as -runs asks for, one after the other.
func repeat(t *testing.T, test func(t *testing.T, run int)) {
	t.Helper()
	if *runs == 1 {
		test(t, 0)
		return
	}
	for run := range *runs {
		t.Run(fmt.Sprint("run", run+1), func(t *testing.T) { test(t, run) })
	}
	worst.print(t)
}

// length is how long a phase takes: short, or full with -long.
func length(short, full time.Duration) time.Duration {
	if *long {
		return full
	}
	return short
}

// A figure is one measured number beside what was promised.
type figure struct {
	row, what, promised string
	measured            float64
	unit                string
	note                string
}

func (f figure) String() string {
	text := fmt.Sprintf("%s %s: promised %s, measured %s", f.row, f.what, f.promised, number(f.measured))
	if f.unit != "" {
		text += " " + f.unit
	}
	if f.note != "" {
		text += " (" + f.note + ")"
	}
	return text
}

// number prints two places at most, without zeros at the end.
func number(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.2f", x), "0"), ".")
}

// figures keeps the highest of each over all runs.
type figures struct {
	mu  sync.Mutex
	all []figure
}

var worst figures

// show prints a figure and keeps it if it is the worst so far.
func show(t *testing.T, f figure) {
	t.Helper()
	t.Log(f)
	worst.mu.Lock()
	defer worst.mu.Unlock()
	f.what = testName(t) + ": " + f.what
	for i, old := range worst.all {
		if old.row == f.row && old.what == f.what {
			if f.measured > old.measured {
				worst.all[i] = f
			}
			return
		}
	}
	worst.all = append(worst.all, f)
}

// testName is the name of a test without the number of its run.
func testName(t *testing.T) string {
	var kept []string
	for part := range strings.SplitSeq(t.Name(), "/") {
		if !strings.HasPrefix(part, "run") {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, "/")
}

func (w *figures) print(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.all {
		if name, _, _ := strings.Cut(f.what, ":"); name == t.Name() || strings.HasPrefix(name, t.Name()+"/") {
			t.Logf("worst of %d runs: %v", *runs, f)
		}
	}
}

// hold fails the test if a count is above what was promised, and shows it.
func hold(t *testing.T, most float64, f figure) {
	t.Helper()
	show(t, f)
	if f.measured > most {
		t.Errorf("BROKEN: %v", f)
	}
}
