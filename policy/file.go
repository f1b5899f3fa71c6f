// file.go reads one file: from text to a tree, to a document, to a policy or to
// the rows of a table.

package policy

import (
	"encoding/binary"
	"hash/fnv"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Options say how files are read. The zero value works.
type Options struct {
	// Env finds environment variables for ${ENV:NAME} and ${ENV:NAME:-default};
	// nil means that none is set.
	Env func(name string) (string, bool)
	// MergeDomains has several files in Envoy's dialect make one domain. Otherwise a domain
	// that is in two files is an error.
	MergeDomains bool
	// Closed has Load and Watch refuse files that others can write, and folders with them in
	// which others could replace or add some, unless they are mounted to be read only.
	Closed bool
	// Known is for Watch: what Load returned before. Watch begins with what has
	// changed since then; nil means since Watch began.
	Known *Set
}

// Parse makes a policy of the text of a file. The error is Errors, all problems of
// it, which begin with the file's name.
func Parse(file string, text []byte, opt Options) (*Policy, error) {
	f := read(file, text, opt)
	if f.err == nil && f.policy == nil {
		f.problems.add(1, 1, "file is a lookup table, not a policy")
		f.err = f.problems.err()
	}
	if f.err != nil {
		return nil, f.err
	}
	return f.policy, nil
}

// A file is what one file came to.
type file struct {
	name      string
	namespace string // as far as it could be read
	at        *yaml.Node
	isTable   bool
	policy    *Policy   // or
	table     *tableDoc // or, if there are problems, neither
	problems  *problems
	err       error
}

const (
	policyVersion = "limits/v1"
	tableVersion  = "limits-table/v1"
)

// read reads a policy, in either form, or a table.
func read(name string, text []byte, opt Options) *file {
	f := &file{name: name, problems: &problems{file: name, text: string(text)}}
	p := f.problems
	root := readTree(text, p)
	if root == nil {
		f.err = p.err()
		return f
	}
	if isDialect(root) {
		f.readDialect(root)
		return f
	}
	if version := child(root, "apiVersion"); version != nil {
		f.isTable = version.Value == tableVersion
	}
	fill := filler{p, opt.Env, map[*yaml.Node]bool{}}
	if f.isTable {
		fill.fill(root, false)
	} else {
		fill.policyFile(root)
	}
	f.at = root
	if at := child(root, "namespace"); at != nil {
		f.namespace, f.at = at.Value, at
	}
	if f.isTable {
		f.table = &tableDoc{}
		p.decode(root, f.table, fill.bad)
	} else {
		var doc document
		f.policy = p.decode(root, &doc, fill.bad).compile(&doc)
		f.policy.hash = meaning(root)
	}
	if f.err = p.err(); f.err != nil {
		f.policy, f.table = nil, nil
	}
	return f
}

// withOverrides returns p with more overrides, those of a YAML or JSON list; p
// itself if that is empty. file names the list in errors. Lenient leaves out what
// p has no use for, instead of complaining.
func (p *Policy) withOverrides(file string, data []byte, lenient bool) (*Policy, error) {
	all := &problems{file: file, text: string(data)}
	if p.domain != nil {
		all.add(0, 0, "domain "+word(p.namespace)+" is in Envoy's dialect, which has no overrides")
		return nil, all.err()
	}
	root := readTree(data, all)
	if root == nil {
		return nil, all.err()
	}
	var list []overrideDoc
	d := all.decodeList(root, &list)
	if lenient {
		list = p.useful(list)
	}
	next := p.compileWith(d, list)
	if lenient && len(all.list) > 0 {
		list = slices.DeleteFunc(list, func(o overrideDoc) bool {
			return slices.ContainsFunc(o.Limits, func(e entry[text]) bool { return d.bad[e.Value.Node] })
		})
		all.list = nil
		next = p.compileWith(d, list)
	}
	if err := all.err(); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return p, nil
	}
	next.file, next.doc = p.file, p.doc
	next.hash = p.hash ^ mix(meaning(root))
	return next, nil
}

// compileWith makes p anew with more overrides.
func (p *Policy) compileWith(d *decoder, list []overrideDoc) *Policy {
	doc := *p.doc
	doc.Overrides = slices.Concat(doc.Overrides, list)
	return d.compile(&doc)
}

// useful leaves out of a list what names limits that p does not have.
func (p *Policy) useful(list []overrideDoc) []overrideDoc {
	known := func(name string) bool {
		return slices.ContainsFunc(p.limits, func(l limit) bool { return l.name == name })
	}
	var kept []overrideDoc
	for _, o := range list {
		o.Limits = slices.DeleteFunc(slices.Clone(o.Limits), func(e entry[text]) bool { return !known(e.Key.Value) })
		if len(o.Limits) > 0 {
			kept = append(kept, o)
		}
	}
	return kept
}

// meaning hashes a tree: comments and layout do not count.
func meaning(n *yaml.Node) uint64 {
	h := fnv.New64a()
	hashNode(h, n)
	return h.Sum64()
}

func hashNode(h io.Writer, n *yaml.Node) {
	var head [16]byte
	binary.LittleEndian.PutUint32(head[:], uint32(n.Kind))
	binary.LittleEndian.PutUint32(head[4:], uint32(len(n.Content)))
	binary.LittleEndian.PutUint64(head[8:], uint64(len(n.Value)))
	h.Write(head[:])
	io.WriteString(h, n.Value)
	if n.Kind == yaml.ScalarNode {
		io.WriteString(h, n.ShortTag())
	}
	for _, below := range n.Content {
		hashNode(h, below)
	}
}

// mix spreads a hash so that several can be added without cancelling.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
