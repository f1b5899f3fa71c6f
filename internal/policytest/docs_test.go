// docs_test.go holds docs/policies.md against the code: each of its blocks is
// loaded, run or looked up, and a block of an unknown kind fails.

package policytest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/policytest"
	"github.com/bucketring/bucketring/node"
	"github.com/bucketring/bucketring/policy"
)

const (
	docsFile = "../../docs/policies.md"
	deployed = "../../deploy/policies"
)

// A block is what stands between two fences.
type block struct {
	section string
	line    int // of its fence
	kind    string
	text    string
	file    string // what its first line says after "# file: "
	in      string // or after "# in: "
	used    bool   // of an answer: a script expects it
}

// A page is docs/policies.md, and a folder with its files and those of deploy.
type page struct {
	text     string
	blocks   []*block
	dir      string
	set      *policy.Set // all policies
	deployed []*policy.Policy
}

// blockKinds say how blocks are checked, and how few of them would be a page that
// has lost some.
var blockKinds = map[string]struct {
	least int
	check func(*page, *block) error
}{
	"policy":   {2, (*page).checkPolicy},
	"script":   {7, (*page).checkScript},
	"table":    {1, (*page).checkTable},
	"fragment": {5, (*page).checkFragment},
	"http":     {2, (*page).checkAnswer},
	"json":     {1, (*page).checkAnswer},
	"sh":       {3, (*page).checkShell},
}

func TestDocs(t *testing.T) {
	p := readPage(t)
	count := map[string]int{}
	// The last come first: scripts use the answers above them, of which none may be
	// left over.
	for _, b := range slices.Backward(p.blocks) {
		count[b.kind]++
		k, ok := blockKinds[b.kind]
		if !ok {
			t.Errorf("%s:%d: nothing checks a block of kind %q", docsFile, b.line, b.kind)
		} else if err := k.check(p, b); err != nil {
			t.Errorf("%s:%d: %v", docsFile, b.line, err)
		}
	}
	for kind, k := range blockKinds {
		if count[kind] < k.least {
			t.Errorf("%s has %d blocks of kind %s, want at least %d", docsFile, count[kind], kind, k.least)
		}
	}
	for _, one := range p.deployed {
		file := filepath.Base(one.File()) + "\n"
		if !strings.Contains(p.text, "# in: "+file) || !strings.Contains(p.text, "\npolicy: "+file) {
			t.Errorf("%s shows no part of %s or does not test it", docsFile, file)
		}
	}
}

// TestDocsNameEveryKey finds keys of the format that the page does not mention.
func TestDocsNameEveryKey(t *testing.T) {
	source, err := os.ReadFile("../../policy/document.go")
	if err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`key:"(\w+)"`).FindAllStringSubmatch(string(source), -1)
	if len(keys) < 60 {
		t.Fatalf("found %d keys, want at least 60", len(keys))
	}
	text := readPage(t).text
	for _, key := range keys {
		if !regexp.MustCompile("\\b" + key[1] + "\\b").MatchString(text) {
			t.Errorf("%s does not mention the key %s", docsFile, key[1])
		}
	}
}

// readPage reads the page and lays out its files.
func readPage(t *testing.T) *page {
	t.Helper()
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	p := &page{text: string(text), dir: t.TempDir()}
	p.split()
	if err := errors.Join(os.CopyFS(p.dir, os.DirFS(deployed)), p.write()); err != nil {
		t.Fatal(err)
	}
	// Its own folder must load as one, tables and all.
	own, err := policy.Load(filepath.Join(p.dir, "policies"), policy.Options{})
	others, err2 := policy.Load(deployed, policy.Options{})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	p.set, p.deployed = own, others.Policies()
	for _, one := range p.deployed {
		p.set = p.set.WithPolicy(one)
	}
	return p
}

// split finds the blocks.
func (p *page) split() {
	var section string
	var open *block
	for i, line := range strings.Split(p.text, "\n") {
		switch {
		case open == nil && strings.HasPrefix(line, "## "):
			section = line[3:]
		case !strings.HasPrefix(line, "```"):
			if open != nil {
				open.text += line + "\n"
			}
		case open == nil:
			open = &block{section: section, line: i + 1, kind: line[3:]}
		default:
			open.classify()
			p.blocks = append(p.blocks, open)
			open = nil
		}
	}
	if open != nil {
		p.blocks = append(p.blocks, &block{line: open.line, kind: "without an end"})
	}
}

// versions are the kinds of files, by how they begin.
var versions = map[string]string{
	"apiVersion: limits/v1": "policy", "apiVersion: limits-test/v1": "script", "apiVersion: limits-table/v1": "table",
}

// classify tells the kinds of YAML apart, and finds names.
func (b *block) classify() {
	if b.kind != "yaml" {
		return
	}
	first, rest, _ := strings.Cut(b.text, "\n")
	if in, ok := strings.CutPrefix(first, "# in: "); ok {
		b.in, b.kind, b.text = in, "fragment", rest
	}
	if file, ok := strings.CutPrefix(first, "# file: "); ok {
		version, _, _ := strings.Cut(rest, "\n")
		b.file, b.kind = file, versions[version]
	}
}

// write writes the blocks that are files.
func (p *page) write() error {
	for _, b := range p.blocks {
		if b.file == "" {
			continue
		}
		name := filepath.Join(p.dir, b.file)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(b.text), 0o644)); err != nil {
			return err
		}
	}
	return nil
}

func (p *page) checkPolicy(b *block) error {
	_, err := policy.Parse(b.file, []byte(b.text), policy.Options{})
	return err
}

func (p *page) checkTable(b *block) error {
	var table struct {
		Namespace, Table string
		Rows             map[string]map[string]string
	}
	if err := yaml.Unmarshal([]byte(b.text), &table); err != nil {
		return err
	}
	return p.rows(table.Namespace, table.Table, table.Rows)
}

// rows finds rows in a table as it was loaded from the page.
func (p *page) rows(namespace, table string, rows map[string]map[string]string) error {
	for key, row := range rows {
		if !maps.Equal(p.set.Row(namespace, table, key), row) {
			return fmt.Errorf("row %s of table %s in %s is not found", key, table, namespace)
		}
	}
	return nil
}

// checkFragment finds the pieces of a fragment, which "# ..." separates, in their
// order in a file. Comments do not count, nor where a piece is indented to.
func (p *page) checkFragment(b *block) error {
	text, _ := os.ReadFile(filepath.Join(p.dir, b.in))
	rest, ok := "\n"+strings.Join(bare(string(text)), "\n")+"\n", false
	for piece := range strings.SplitSeq(b.text, "# ...\n") {
		if rest, ok = behind(rest, bare(piece)); !ok {
			return fmt.Errorf("%s does not have, in this order:\n%s", b.in, piece)
		}
	}
	return nil
}

var yamlComment = regexp.MustCompile(`(^|\s+)#.*$`)

// bare returns lines without comments and what is blank then.
func bare(text string) (lines []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimRight(yamlComment.ReplaceAllString(line, ""), " "); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// behind returns what comes behind a piece in a text.
func behind(text string, piece []string) (rest string, ok bool) {
	for shift := "\n"; len(piece) > 0 && len(shift) < 12; shift += " " {
		if _, rest, ok = strings.Cut(text, shift+strings.Join(piece, shift)+"\n"); ok {
			return "\n" + rest, true
		}
	}
	return "", false
}

// asAbove is a line that expects the answer shown before it in its section.
var asAbove = regexp.MustCompile(`^(.*expect(?:_last)?: )\{status: (\d+)\} +# and the answer above$`)

// checkScript runs a script, with the answers of the page in their places.
func (p *page) checkScript(b *block) error {
	lines := strings.Split(b.text, "\n")
	for i, line := range lines {
		if parts := asAbove.FindStringSubmatch(line); parts != nil {
			answer := p.answerBefore(b)
			if answer == nil {
				return fmt.Errorf("line %d: no answer is above it in this section", b.line+i+1)
			}
			want, err := answer.expectation(parts[2])
			if err != nil {
				return fmt.Errorf("the answer in line %d: %w", answer.line, err)
			}
			answer.used = true
			lines[i] = parts[1] + want
		}
	}
	name := filepath.Join(p.dir, b.file)
	if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		return err
	}
	report, err := policytest.Run(name, policytest.Options{})
	if err != nil {
		return err
	}
	for _, test := range report.Tests {
		if len(test.Failures) > 0 {
			return fmt.Errorf("\n%s", report.Text())
		}
	}
	return nil
}

func (p *page) answerBefore(b *block) *block {
	for _, other := range slices.Backward(p.blocks) {
		if other.section == b.section && other.line < b.line && (other.kind == "http" || other.kind == "json") {
			return other
		}
	}
	return nil
}

// expectation makes what a script expects of an answer, in one line.
func (b *block) expectation(status string) (string, error) {
	code, _ := strconv.Atoi(status)
	want, body := map[string]any{"exact": true, "status": code}, b.text
	if b.kind == "http" {
		head, rest, _ := strings.Cut(b.text, "\n\n")
		lines := strings.Split(head, "\n")
		if line := fmt.Sprintf("HTTP/1.1 %d %s", code, http.StatusText(code)); lines[0] != line {
			return "", fmt.Errorf("begins with %q, the script expects %q", lines[0], line)
		}
		fields := map[string]string{}
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(line, ": ")
			fields[name] = value
		}
		body, want["headers"] = rest, fields
		if fields["Retry-After"] == "" {
			want["absent"] = []string{"Retry-After"}
		}
	}
	want["body"] = json.RawMessage(body)
	text, err := json.Marshal(want)
	return string(text), err
}

func (p *page) checkAnswer(b *block) error {
	if !b.used {
		return errors.New("no script below has a line that ends with: # and the answer above")
	}
	return nil
}

// checkShell looks up the commands and carries out the calls.
func (p *page) checkShell(b *block) error {
	for line := range strings.SplitSeq(strings.TrimSpace(b.text), "\n") {
		words := shellWords(line)
		err := errors.New("nothing checks this command")
		switch {
		case len(words) < 2:
		case words[0] == "bucketring":
			err = p.command(words[1:])
		case words[0] == "curl":
			err = p.curl(words[1:])
		}
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
	}
	return nil
}

// shellWord is a word in single quotes or one that needs none, or a comment.
var shellWord = regexp.MustCompile(`^(?:'([^']*)'|([\w./:=-]+)|(#.*))(?: +|$)`)

// shellWords splits a line as a shell does; nil if the page needs more of a shell.
func shellWords(line string) (words []string) {
	for line != "" {
		parts := shellWord.FindStringSubmatch(line)
		if parts == nil {
			return nil
		}
		if line = line[len(parts[0]):]; parts[3] == "" {
			words = append(words, parts[1]+parts[2])
		}
	}
	return words
}

// sources returns the text of a package's files, tests apart.
func sources(folder string) (all string, err error) {
	files, err := filepath.Glob(folder + "/*.go")
	for _, file := range files {
		if text, failed := os.ReadFile(file); !strings.HasSuffix(file, "_test.go") {
			all, err = all+string(text), errors.Join(err, failed)
		}
	}
	return all, err
}

// command finds the words of a command in its source, its flags among the settings
// and its files on the page.
func (p *page) command(words []string) error {
	source, err := sources("../../cmd/bucketring")
	if err != nil {
		return err
	}
	at := 0
	if strings.Contains(source, `group("`+words[0]+`"`) && len(words) > 1 {
		at = 1
	}
	if !regexp.MustCompile(`Use: "` + words[at] + `[ "]`).MatchString(source) {
		return errors.New("there is no such command")
	}
	for _, word := range words {
		if flag, ok := strings.CutPrefix(word, "--"); ok && !strings.Contains(source, `{"`+flag+`", `) {
			return fmt.Errorf("there is no setting %s", word)
		}
		if strings.Contains(word, "/") {
			if _, err := os.Stat(filepath.Join(p.dir, word)); err != nil {
				return err
			}
		}
	}
	return nil
}

// curl carries out a call, on a node without listeners.
func (p *page) curl(words []string) error {
	flags := flag.NewFlagSet("curl", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Bool("i", false, "")
	method, body := flags.String("X", "", ""), flags.String("json", "", "")
	if err := flags.Parse(words); err != nil || flags.NArg() != 1 {
		return fmt.Errorf("nothing checks these arguments (%v)", err)
	}
	u, err := url.Parse("http://" + flags.Arg(0))
	if err != nil {
		return err
	}
	if *method == "" {
		*method = map[bool]string{true: http.MethodGet, false: http.MethodPost}[*body == ""]
	}
	return p.call(*method, u, []byte(*body))
}

var routeLine = regexp.MustCompile(`\{"([A-Z]+)", "(/v1/[^"]+)", `)

// call finds a call in the tables of the HTTP doors and carries it out.
func (p *page) call(method string, u *url.URL, body []byte) error {
	source, err := sources("../httpapi")
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	for _, r := range routeLine.FindAllStringSubmatch(source, -1) {
		mux.Handle(r[1]+" "+r[2], http.NotFoundHandler())
	}
	if _, pattern := mux.Handler(&http.Request{Method: method, URL: u, Host: u.Host}); pattern == "" {
		return fmt.Errorf("there is no call %s %s", method, u.Path)
	}
	if admin := strings.HasPrefix(u.Path, "/v1/admin/"); admin && u.Port() != "7753" || !admin && u.Port() != "7750" {
		return errors.New("this call is served at another port")
	}
	switch parts := strings.Split(u.Path, "/"); {
	case strings.HasPrefix(u.Path, "/v1/admin/tables/"):
		var rows map[string]map[string]string
		err := json.Unmarshal(body, &rows)
		return errors.Join(err, p.rows(parts[4], parts[5], rows))
	case strings.HasPrefix(u.Path, "/v1/admin/overrides/"):
		_, err := p.set.WithOverrides(parts[4], body)
		return err
	}
	return p.take(u, body)
}

// take asks a node as GET and POST of take and GET of usage do.
func (p *page) take(u *url.URL, body []byte) error {
	verb, ok := map[string]bucketring.Verb{"/v1/take": bucketring.VerbTake, "/v1/usage": bucketring.VerbUsage}[u.Path]
	if !ok {
		return fmt.Errorf("nothing checks the call %s", u.Path)
	}
	sent := struct {
		Namespace  string            `json:"namespace"`
		Attributes map[string]string `json:"attributes"`
	}{u.Query().Get("namespace"), map[string]string{}}
	for name, values := range u.Query() {
		if name != "namespace" {
			sent.Attributes[name] = values[0]
		}
	}
	if len(body) > 0 {
		d := json.NewDecoder(bytes.NewReader(body))
		if d.DisallowUnknownFields(); d.Decode(&sent) != nil || u.RawQuery != "" {
			return fmt.Errorf("%s is no request, or has a query", body)
		}
	}
	req := bucketring.Request{Verb: verb, Namespace: sent.Namespace, Attributes: sent.Attributes}
	n, err := node.New(node.Config{Name: "docs"})
	if err != nil {
		return err
	}
	n.SetPolicies(p.set)
	d, err := n.Take(context.Background(), req)
	if err == nil && (!d.Allowed || len(d.All()) == 0) {
		err = fmt.Errorf("is answered by %d limits, allowed %v", len(d.All()), d.Allowed)
	}
	return err
}
