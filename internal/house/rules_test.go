// rules_test.go has the rules that one file, or one package, can break.

package house_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A source is one Go file.
type source struct {
	pkg       string // its package's path in the module, "." for the root
	name      string // its path in the module
	test      bool
	generated bool
	lines     int
	fset      *token.FileSet
	ast       *ast.File
	wrong     []string
}

func parse(pkg, name, text string) (*source, error) {
	s := &source{pkg: pkg, name: name, test: strings.HasSuffix(name, "_test.go"), fset: token.NewFileSet()}
	s.lines = strings.Count(text, "\n")
	var err error
	if s.ast, err = parser.ParseFile(s.fset, name, text, parser.ParseComments); err != nil {
		return nil, err
	}
	s.generated = ast.IsGenerated(s.ast)
	return s, nil
}

// bad notes a complaint with the line that it is about.
func (s *source) bad(at ast.Node, format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf("%s:%d: ", s.name, s.fset.Position(at.Pos()).Line)+fmt.Sprintf(format, args...))
}

// exceptions are what a package may do against a rule, each with its reason. The
// key is "package name", where name is a blank import, a function or
// Type.Method, a package variable, or a name of package log such as log.New.
var exceptions = map[string]string{
	"cluster log.New":             "memberlist takes a log.Logger; its lines go on to slog",
	"node/member net.Listen":      "who embeds a node has it listen for peers: decision 0032",
	"internal/httpapi log.Logger": "net/http takes a log.Logger; cmd makes it of slog",
	"cmd/bucketring version":      "the linker sets it",
	"cmd/bucketring time/tzdata":  "the zone database is compiled in; importing it is all there is",
	". zones":                     "time zones that were loaded; only names that exist are kept",

	"internal/httpapi TestBadBodies": "one table of bad input, which is read as a whole",
}

// needed are the exceptions that a check came upon.
var needed = map[string]bool{}

func (s *source) excepted(name string) bool {
	key := s.pkg + " " + name
	needed[key] = true
	return exceptions[key] != ""
}

// rules are held against every file. Generated code keeps only those of the
// first group.
var rules = []struct {
	handMade bool // only for code written by hand
	product  bool // not for tests
	check    func(*source)
}{
	{false, false, (*source).imports},
	{false, false, (*source).packageName},
	{true, false, (*source).lengths},
	{true, false, (*source).noInit},
	{true, true, (*source).packageVars},
	{true, true, (*source).documented},
	{true, true, (*source).noClock},
	{true, true, (*source).noGlobals},
	{true, true, (*source).noDoors},
}

func (s *source) check() []string {
	for _, r := range rules {
		if !(r.handMade && s.generated || r.product && s.test) {
			r.check(s)
		}
	}
	return s.wrong
}

func (s *source) imports() {
	for _, i := range s.ast.Imports {
		imported, _ := strconv.Unquote(i.Path.Value)
		if msg := checkImport(s.pkg, imported, s.test); msg != "" {
			s.bad(i, "%s", msg)
		}
		blank := i.Name != nil && i.Name.Name == "_"
		if blank && !s.generated && imported != "embed" && !s.excepted(imported) {
			s.bad(i, "blank import of %s: importing does nothing, wire it in cmd", imported)
		}
	}
}

// drawers are package names that say nothing.
var drawers = regexp.MustCompile(`^(utils?|common|base|impl|managers?|types|helpers?|service|misc)$`)

func (s *source) packageName() {
	if name := s.ast.Name.Name; drawers.MatchString(strings.TrimSuffix(name, "_test")) {
		s.bad(s.ast.Name, "package name %s: name what it does", name)
	}
	if strings.HasSuffix(s.name, "_impl.go") {
		s.bad(s.ast.Name, "file name: name what it does, not that it is an implementation")
	}
}

const maxLines, maxFunc = 500, 60

func (s *source) lengths() {
	if s.lines > maxLines {
		s.bad(s.ast.Name, "%d lines, at most %d", s.lines, maxLines)
	}
	for _, d := range s.ast.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := s.fset.Position(f.End()).Line - s.fset.Position(f.Pos()).Line + 1
		if lines > maxFunc && !s.excepted(funcName(f)) {
			s.bad(f, "%s has %d lines, at most %d without a reason in exceptions", funcName(f), lines, maxFunc)
		}
	}
}

// funcName returns Func or Type.Method.
func funcName(f *ast.FuncDecl) string {
	if t := receiver(f); t != "" {
		return t + "." + f.Name.Name
	}
	return f.Name.Name
}

// receiver returns the name of a method's type, "" for a function.
func receiver(f *ast.FuncDecl) (name string) {
	if f.Recv != nil {
		ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && name == "" {
				name = id.Name
			}
			return name == ""
		})
	}
	return name
}

func (s *source) noInit() {
	for _, d := range s.ast.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
			s.bad(f, "init function: importing does nothing, wire it in cmd")
		}
	}
}

// tables are calls whose result never changes.
var tables = []string{"errors.New", "fmt.Errorf", "regexp.MustCompile", "template.Must", "strings.NewReplacer", "base32.NewEncoding"}

// errorName is the name of a variable that holds an error.
var errorName = regexp.MustCompile(`^[eE]rr\p{Lu}`)

// packageVars allows errors, tables, compiled texts, embedded files and the
// assertion that a type implements an interface.
func (s *source) packageVars() {
	for _, d := range s.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			if v.Names[0].Name == "_" || embeds(g.Doc) || embeds(v.Doc) {
				continue
			}
			isTable := !slices.ContainsFunc(v.Values, func(e ast.Expr) bool { return !constant(e) })
			allowed := len(v.Values) > 0 && (isTable || errorName.MatchString(v.Names[0].Name))
			if !allowed && !s.excepted(v.Names[0].Name) {
				s.bad(v, "package variable %s: only errors, tables and compiled expressions", v.Names[0].Name)
			}
		}
	}
}

func embeds(doc *ast.CommentGroup) bool {
	return doc != nil && slices.ContainsFunc(doc.List, func(c *ast.Comment) bool { return strings.HasPrefix(c.Text, "//go:embed") })
}

func constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.CallExpr:
		if sel, ok := e.Fun.(*ast.SelectorExpr); ok {
			if inner, ok := sel.X.(*ast.CallExpr); ok {
				return constant(inner) // a table that is adjusted, as by WithPadding
			}
		}
		return slices.Contains(tables, selector(e.Fun))
	}
	return false
}

// selector returns "pkg.Name" as it is written, "" for other expressions.
func selector(e ast.Expr) string {
	if sel, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := sel.X.(*ast.Ident); ok {
			return x.Name + "." + sel.Sel.Name
		}
	}
	return ""
}

func (s *source) documented() {
	for _, d := range s.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if t := receiver(d); d.Name.IsExported() && (t == "" || ast.IsExported(t)) {
				s.startsWith(d.Doc, d.Name)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				s.documentedSpec(d, spec)
			}
		}
	}
}

// documentedSpec lets one comment stand for a group of values, and one behind
// the line for a value in a group.
func (s *source) documentedSpec(d *ast.GenDecl, spec ast.Spec) {
	doc := d.Doc
	switch spec := spec.(type) {
	case *ast.TypeSpec:
		if spec.Doc != nil {
			doc = spec.Doc
		}
		if spec.Name.IsExported() {
			s.startsWith(doc, spec.Name)
		}
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			switch grouped := d.Lparen.IsValid(); {
			case !name.IsExported() || grouped && spec.Doc == nil && (spec.Comment != nil || d.Doc != nil):
			case grouped:
				s.startsWith(spec.Doc, name)
			default:
				s.startsWith(d.Doc, name)
			}
		}
	}
}

func (s *source) startsWith(doc *ast.CommentGroup, name *ast.Ident) {
	if doc == nil {
		s.bad(name, "%s has no comment", name.Name)
		return
	}
	text := doc.Text()
	for _, article := range []string{"A ", "An ", "The ", "Deprecated: "} {
		text = strings.TrimPrefix(text, article)
	}
	if rest, ok := strings.CutPrefix(text, name.Name); !ok || rest != "" && !strings.ContainsAny(rest[:1], " \n,.:;'") {
		s.bad(doc, "the comment of %s does not start with its name", name.Name)
	}
}

// pure rooms start no goroutine and read no clock: callers pass the time.
var pure = regexp.MustCompile(`^(bucket|ring|policy)(/|$)`)

func (s *source) noClock() {
	if !pure.MatchString(s.pkg) {
		return
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if name := s.std(n); slices.Contains([]string{"time.Now", "time.Since", "time.Until"}, name) {
				s.bad(n, "%s in %s: the caller passes the time", name, s.pkg)
			}
		case *ast.GoStmt:
			s.bad(n, "goroutine in %s: the caller starts them", s.pkg)
		}
		return true
	})
}

var (
	globalLog = regexp.MustCompile(`^(log\..*|log/slog\.(Debug|Info|Warn|Error|Log|LogAttrs|With|(Debug|Info|Warn|Error)Context|(Set)?Default))$`)
	listeners = regexp.MustCompile(`^(net\.(Listen(|TCP|UDP|IP|Unix|Unixgram|Packet|MulticastUDP|Config)|FileListener|FilePacketConn)|net/http\.ListenAndServe(TLS)?|crypto/tls\.Listen)$`)
)

// noGlobals keeps sockets and global loggers in cmd: other rooms are handed
// theirs.
func (s *source) noGlobals() {
	if strings.HasPrefix(s.pkg, "cmd/") {
		return
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if name := s.std(sel); globalLog.MatchString(name) && !s.excepted(name) {
				s.bad(n, "%s outside cmd: take a *slog.Logger in Config", name)
			} else if listeners.MatchString(name) && !s.excepted(name) {
				s.bad(n, "%s outside cmd: take a net.Listener", name)
			}
		}
		return true
	})
}

// std returns "import/path.Name" for a name of an imported package, whatever
// the file calls it, and "" for a field or method.
func (s *source) std(sel *ast.SelectorExpr) string {
	x, ok := sel.X.(*ast.Ident)
	if !ok {
		return ""
	}
	for _, i := range s.ast.Imports {
		imported, _ := strconv.Unquote(i.Path.Value)
		if i.Name == nil && path.Base(imported) == x.Name || i.Name != nil && i.Name.Name == x.Name {
			return imported + "." + sel.Sel.Name
		}
	}
	return ""
}

// checkPackage wants exactly one package comment in the files of one package.
func checkPackage(pkg string, files []*source) []string {
	var with []string
	for _, s := range files {
		if s.ast.Doc == nil || s.test || s.generated {
			continue
		}
		with = append(with, s.name)
		if want := "Package " + s.ast.Name.Name + " "; s.ast.Name.Name != "main" && !strings.HasPrefix(s.ast.Doc.Text(), want) {
			return []string{s.name + ": the package comment does not start with " + strconv.Quote(want)}
		}
	}
	switch len(with) {
	case 0:
		return []string{pkg + ": no package comment"}
	case 1:
		return nil
	}
	return []string{pkg + ": more than one package comment: " + strings.Join(with, ", ")}
}
