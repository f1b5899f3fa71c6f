// self_test.go breaks every rule once: a check that cannot fail is a defect.

package house_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// body is a function of n lines.
func body(n int) string {
	return "package ring\n\nfunc f() {\n" + strings.Repeat("\t_ = 1\n", n-2) + "}\n"
}

// broken are files that break one rule each.
var broken = []struct{ pkg, file, text, want string }{
	// The plan.
	{"cluster", "a.go", `package cluster; import "github.com/bucketring/bucketring/node"`, "cluster may not import node; if it must be, add a line"},
	{"node", "a.go", `package node; import "github.com/bucketring/bucketring/transport"`, "node may not import transport"},
	{"ring", "a.go", `package ring; import "github.com/bucketring/bucketring"`, "ring may not import ."},
	{"node", "a_test.go", `package node_test; import "github.com/bucketring/bucketring/cluster"`, "node may not import cluster"},
	{"cmd/bucketring", "a.go", `package main; import "github.com/bucketring/bucketring/bench"`, "may not import bench"},
	{"bucket", "a.go", `package bucket; import "github.com/cespare/xxhash/v2"`, "bucket may not import github.com/cespare/xxhash/v2"},
	{"client/httplimit", "a.go", `package httplimit; import "github.com/bucketring/bucketring/node"`, "client/httplimit may not import node"},
	{"bucket", "a.go", `package bucket; import "golang.org/x/sys/unix"`, "bucket may not import golang.org/x/sys/unix"},
	{"internal/envoyrls", "a.go", `package envoyrls; import "google.golang.org/grpc/security/advancedtls"`, "may not import google"},
	{"cluster", "a.go", `package cluster; import "github.com/hashicorp/memberlistic"`, "may not import github.com/hashicorp/memberlistic"},
	{"ring", "a.go", `package ring; import "github.com/google/go-cmp/cmp"`, "ring may not import github.com/google/go-cmp/cmp"},
	{"ring", "a_test.go", `package ring_test; import "example.com/new"`, "ring may not import example.com/new"},
	{"policy", "a.go", `package policy; import "gopkg.in/yaml.v3"`, "gopkg.in/yaml.v3 is archived"},
	{"cellar", "a.go", `package cellar; import "fmt"`, "the package cellar is not in the plan"},

	// Doors.
	{"node", "a.go", "package node; func takeForEnvoy() {}", "takeForEnvoy names a door in node"},
	{"bucket", "a.go", `package bucket; const s = "redis"`, "names a door in bucket"},
	{"transport", "a.go", `package transport; const s = "postfix"`, "names a door in transport"},

	// A file.
	{"ring", "a.go", `package ring; import _ "net/http/pprof"`, "blank import of net/http/pprof"},
	{"ring", "a.go", "package util", "package name util"},
	{"ring", "a_test.go", "package common_test", "package name common_test"},
	{"ring", "ring_impl.go", "package ring", "file name"},
	{"ring", "a.go", "package ring" + strings.Repeat("\n", 501), "501 lines, at most 500"},
	{"ring", "a_test.go", "package ring" + strings.Repeat("\n", 501), "501 lines, at most 500"},
	{"ring", "a.go", body(61), "f has 61 lines, at most 60"},
	{"ring", "a.go", "package ring; func init() {}", "init function"},
	{"ring", "a.go", "package ring; var count int", "package variable count"},
	{"ring", "a.go", "package ring; var ok, bad = []int{}, new(int)", "package variable ok"},
	{"ring", "a.go", "package ring; var cache = &cacheType{}", "package variable cache"},
	{"ring", "a.go", "package ring; var errCount int", "package variable errCount"},
	{"ring", "a.go", "package ring; var table = load()", "package variable table"},
	{"ring", "a.go", "package ring; type T int", "T has no comment"},
	{"ring", "a.go", "package ring; func F() {}", "F has no comment"},
	{"ring", "a.go", "package ring\n\n// This is F.\nfunc F() {}", "the comment of F does not start with its name"},
	{"ring", "a.go", "package ring\n\n// Files are many.\nfunc File() {}", "the comment of File does not"},
	{"ring", "a.go", "package ring\n\n// T is.\ntype T int\nfunc (t *T) Do() {}", "Do has no comment"},
	{"ring", "a.go", "package ring\n\n// T is.\ntype T[K any] int\nfunc (t *T[K]) Do() {}", "Do has no comment"},
	{"ring", "a.go", "package ring; const C = 1", "C has no comment"},
	{"ring", "a.go", "package ring; const (\n\tC = 1\n)", "C has no comment"},
	{"ring", "a.go", "package ring; const (\n\t// The one.\n\tC = 1\n)", "the comment of C does not start"},
	{"bucket", "a.go", `package bucket; import "time"; func f() { time.Now() }`, "time.Now in bucket"},
	{"ring/handover", "a.go", `package handover; import c "time"; func f() { _ = c.Since }`, "time.Since in ring/handover"},
	{"policy", "a.go", "package policy; func f() { go f() }", "goroutine in policy"},
	{"node", "a.go", `package node; import "log"; func f() { log.Print() }`, "log.Print outside cmd"},
	{"node", "a.go", `package node; import "log/slog"; func f() { slog.Info("") }`, "log/slog.Info outside cmd"},
	{"node", "a.go", `package node; import "log/slog"; var _ = slog.Default()`, "log/slog.Default outside cmd"},
	{"transport", "a.go", `package transport; import "net"; func f() { net.Listen("", "") }`, "net.Listen outside cmd"},
	{"internal/httpapi", "a.go", `package httpapi; import "net/http"; func f() { http.ListenAndServe("", nil) }`, "net/http.ListenAndServe outside cmd"},
}

func TestRulesFindWhatIsBroken(t *testing.T) {
	for i, tt := range broken {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			s, err := parse(tt.pkg, tt.pkg+"/"+tt.file, tt.text)
			if err != nil {
				t.Fatal(err)
			}
			wrong := s.check()
			if len(wrong) != 1 || !strings.Contains(wrong[0], tt.want) || !strings.HasPrefix(wrong[0], tt.pkg+"/"+tt.file+":") {
				t.Errorf("check of\n%.200s\n= %q, want one complaint with %q", tt.text, wrong, tt.want)
			}
		})
	}
}

// sound are files that look suspicious and break nothing.
var sound = []struct{ pkg, file, text string }{
	{"ring/handover", "a.go", `package handover; import "github.com/bucketring/bucketring/ring"`},
	{"cmd/bucketring", "a.go", `package main; import ("log/slog"; "net"); import "github.com/bucketring/bucketring/node"
		func f() { slog.Info(""); net.Listen("", "") }`},
	{"cluster", "a_test.go", `package cluster_test; import ("testing"; "pgregory.net/rapid")
		import ("github.com/bucketring/bucketring/cluster"; "github.com/bucketring/bucketring/cluster/clustertest")`},
	{"bucket", "a.go", `package bucket; import "golang.org/x/sys/cpu"`},
	{"bucket", "a_test.go", `package bucket_test; import "time"; var update = new(int); func Helper() { time.Now() }`},
	{"transport", "a.go", `package transport; import "net"; func serve(l net.Listener) {}`},
	{"transport", "a.go", `package transport; import "google.golang.org/grpc/security/advancedtls"`},
	{"transport/limitpb", "a.pb.go", "// Code generated by protoc. DO NOT EDIT.\n\npackage limitpb\nvar x int\ntype T int\nfunc init() {}" + strings.Repeat("\n", 600)},
	{"ring", "a.go", body(60)},
	{"ring", "a.go", "package ring" + strings.Repeat("\n", 500)},
	{"ring", "a.go", `package ring; import ("errors"; _ "embed"; "regexp"); var errX = errors.New(""); var _ I = (*T)(nil)
		var table = map[int]int{}; var re = regexp.MustCompile("")
		var errY = problem(1); var e32 = base32.NewEncoding("").WithPadding(1)
		//go:embed f
		var f string
		type t int; func (t) Error() string { return "" }; const c = 1`},
	{"ring", "a.go", "package ring\n\n// A T is.\ntype T int\n\n// Do does.\nfunc (T) Do() {}\nconst (\n\tA = 1 // the first\n\t// B, too.\n\tB = 2\n)"},
	{"ring", "a.go", "package ring\n\n// Some values.\nconst (\n\tA = 1\n\tB = 2\n)"},
	{"node", "a.go", `package node; import ("log/slog"; "time"); func f(l *slog.Logger) { go l.Info("", "now", time.Now()) }`},
}

func TestRulesLeaveSoundFilesAlone(t *testing.T) {
	for i, tt := range sound {
		s, err := parse(tt.pkg, tt.file, tt.text)
		if err != nil {
			t.Fatal(i, err)
		}
		if wrong := s.check(); len(wrong) != 0 {
			t.Errorf("check of %s\n%.300s\n= %q, want no complaint", tt.file, tt.text, wrong)
		}
	}
}

func TestPackageComments(t *testing.T) {
	with, without := "// Package ring is.\npackage ring", "// a.go is.\n\npackage ring"
	tests := []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{"a.go": with, "b.go": without}, ""},
		{map[string]string{"a.go": "// Bucketring serves.\npackage main"}, ""},
		{map[string]string{"a.go": without}, "ring: no package comment"},
		{map[string]string{"a_test.go": with}, "ring: no package comment"},
		{map[string]string{"a.go": with, "b.go": with}, "more than one package comment"},
		{map[string]string{"a.go": "// The ring.\npackage ring"}, `does not start with "Package ring "`},
	}
	for i, tt := range tests {
		var files []*source
		for name, text := range tt.files {
			s, err := parse("ring", name, text)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, s)
		}
		got := strings.Join(checkPackage("ring", files), "; ")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("case %d: checkPackage = %q, want %q", i, got, tt.want)
		}
	}
}

func TestPlanCheckFindsArrowsThatGoUp(t *testing.T) {
	for want, plan := range map[string]map[string]room{
		"a imports b, which is not below it":    {"a": {1, "b", ""}, "b": {1, "", ""}},
		"a imports b, which is not in the plan": {"a": {1, "b", ""}},
		"a has the unknown module leftpad":      {"a": {1, "", "leftpad"}},
	} {
		if got := strings.Join(checkPlan(plan), "; "); got != want {
			t.Errorf("checkPlan = %q, want %q", got, want)
		}
	}
}

func TestLinkCheckFindsDeadLinks(t *testing.T) {
	house := fstest.MapFS{
		"a.go": {}, "docs/b.md": {Data: []byte("# Über *a* `b`: c!\n## Twice\n## Twice\n```\n# not one\n```\n<a id=\"own\"></a>\n")},
	}
	tests := []struct{ line, want string }{
		{"[x](a.go) [y](docs/b.md) ![z](docs) [web](https://a.b/c#d) [m](mailto:a@b)", ""},
		{"# Here it is\n[x](#here-it-is)", ""},
		{"[x](docs/b.md#über-a-b-c) [y](docs/b.md#twice-1) [z](docs/b.md#own)", ""},
		{"`[x](none)`\n```\n[x](none)\n```\n[x](a.go \"title\")\n[x]: a.go", ""},
		{"[x](none.md)", "README.md:1: link none.md: no such file: none.md"},
		{"\n![x](docs/none.png)", "README.md:2: link docs/none.png: no such file"},
		{"[x]: none.md", "link none.md: no such file"},
		{"[x](#nowhere)", "link #nowhere: no such heading in README.md"},
		{"[x](docs/b.md#twice-2)", "no such heading in docs/b.md"},
		{"[x](docs/b.md#not-one)", "no such heading in docs/b.md"},
		{"[x](a.go \"t\") [y](b.go 't')", "no such file: b.go"},
	}
	for _, tt := range tests {
		house["README.md"] = &fstest.MapFile{Data: []byte(tt.line)}
		got := strings.Join(checkLinks(house, "README.md"), "; ")
		if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("checkLinks of %q = %q, want %q", tt.line, got, tt.want)
		}
	}
}
