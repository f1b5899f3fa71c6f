package house_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// skipped folders are no part of the house: zzdeps is gone before the first
// commit, and the others are not ours to read.
var skipped = []string{".git", "zzdeps", "node_modules"}

// listed is what go list says of a package.
type listed struct {
	ImportPath, Dir string
	Error           *struct{ Err string }
}

// packages asks go list, and fails if it knows none: a check that looks at
// nothing would pass for ever.
func packages(t *testing.T) (all []listed) {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Dir,Error", "./...")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("go list: %v: %s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if !slices.Contains(skipped, path.Base(p.ImportPath)) {
			all = append(all, p)
		}
	}
	if len(all) < 3 {
		t.Fatalf("go list found %d packages in %s, want the whole house", len(all), root)
	}
	return all
}

// sources reads every Go file of a folder, also those that a build tag hides.
func sources(t *testing.T, p listed) (files []*source) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.Dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no Go files in %s (%v)", p.ImportPath, p.Dir, err)
	}
	pkg := path.Clean("." + strings.TrimPrefix(p.ImportPath, module))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s, err := parse(pkg, path.Join(pkg, filepath.Base(name)), string(text))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		files = append(files, s)
	}
	return files
}

func TestHouse(t *testing.T) {
	checked := 0
	for _, p := range packages(t) {
		if p.Error != nil {
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		files := sources(t, p)
		pkg := path.Clean("." + strings.TrimPrefix(p.ImportPath, module))
		if _, ok := plan[pkg]; !ok {
			t.Errorf("%s is not in the plan%s", pkg, addLine)
		}
		report(t, checkPackage(pkg, files))
		for _, s := range files {
			report(t, s.check())
			checked++
		}
	}
	if checked < 10 {
		t.Errorf("checked %d files, want the whole house", checked)
	}
	for key := range exceptions {
		if !needed[key] {
			t.Errorf("the exception %q is no longer needed", key)
		}
	}
}

func report(t *testing.T, wrong []string) {
	t.Helper()
	for _, w := range wrong {
		t.Error(w)
	}
}

func TestPlanGoesDown(t *testing.T) {
	report(t, checkPlan(plan))
}

// TestNoRoomIsHidden finds folders with Go files that go list does not name,
// for example because a build tag hides all of them.
func TestNoRoomIsHidden(t *testing.T) {
	known := map[string]bool{}
	for _, p := range packages(t) {
		known[p.Dir] = true
	}
	walk(t, func(name string) {
		dir, err := filepath.Abs(filepath.Join(root, filepath.Dir(name)))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".go") && !known[dir] {
			t.Errorf("%s is in no package of go list", name)
		}
	})
}

// walk calls f with every file of our module; nested modules and testdata are
// others' business.
func walk(t *testing.T, f func(name string)) {
	t.Helper()
	house := os.DirFS(root)
	err := fs.WalkDir(house, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !d.IsDir():
			f(name)
			return nil
		}
		_, nested := fs.Stat(house, path.Join(name, "go.mod"))
		if slices.Contains(skipped, d.Name()) || d.Name() == "testdata" || name != "." && nested == nil {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestGoModHasNoBannedModule(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) >= 2 && banned[fields[0]] != "" && !strings.Contains(line, "// indirect") {
			t.Errorf("go.mod: %s %s", fields[0], banned[fields[0]])
		}
	}
}

func TestLinksInDocs(t *testing.T) {
	found := false
	walk(t, func(name string) {
		if !strings.HasSuffix(name, ".md") {
			return
		}
		found = found || name == "README.md"
		report(t, checkLinks(os.DirFS(root), name))
	})
	if !found {
		t.Errorf("no README.md: it is where readers begin, and where links are")
	}
}

// TestNoProgramIsCommitted: what go build leaves behind is no source.
func TestNoProgramIsCommitted(t *testing.T) {
	const most = 1 << 20 // bytes
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("skipped: git cannot list the files here: %v", err)
	}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Size() > most {
			t.Errorf("%s has %d bytes, at most %d are committed", name, info.Size(), most)
		}
	}
}
