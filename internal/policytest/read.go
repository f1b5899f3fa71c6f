// read.go takes values out of YAML and says what is wrong with them, and where.

package policytest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/policy"
)

// A reader reads one script. It goes on behind a problem, so that all are
// reported; what it returns then is of no use. Values that are absent are nil
// nodes and read as nothing.
type reader struct {
	file   string
	opt    Options
	list   policy.Errors
	loaded map[string]*policy.Policy // by path; nil for one that does not load
	left   int                       // nodes that may still come
}

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.list = append(r.list, &policy.Error{File: r.file, Line: n.Line, Column: n.Column, Text: fmt.Sprintf(format, args...)})
}

// Bounds of a script, for one that repeats itself with aliases.
const (
	maxNodes = 1_000_000
	maxDepth = 64
)

// yamlLine takes the line out of an error of the YAML parser.
var yamlLine = regexp.MustCompile(`^(?:yaml: )+(?:line (\d+): )?((?s).*)$`)

// root returns the root of the script, nil after a problem.
func (r *reader) root(text []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var doc yaml.Node
	err := decoder.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 0:
		r.fail(&yaml.Node{Line: 1, Column: 1}, "the script is empty: begin with apiVersion: %s", version)
		return nil
	case err == nil:
		var second yaml.Node
		if err = decoder.Decode(&second); err == nil {
			r.fail(&second, "a script is one document: put the second one into another file")
			return nil
		}
	}
	if !errors.Is(err, io.EOF) {
		line := 1
		text := err.Error()
		if parts := yamlLine.FindStringSubmatch(text); parts != nil {
			line, _ = strconv.Atoi(parts[1])
			text = parts[2]
		}
		r.fail(&yaml.Node{Line: max(line, 1), Column: 1}, "the script is no YAML: %s", text)
		return nil
	}
	r.left = maxNodes
	return r.expand(doc.Content[0], 1)
}

// expand writes aliases out.
func (r *reader) expand(n *yaml.Node, depth int) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if r.left--; r.left < 0 || depth > maxDepth {
		if r.left > 0 {
			r.fail(n, "this is nested more than %d deep", maxDepth)
		} else if r.left == -1 {
			r.fail(n, "the script has more than %d values with its aliases written out", maxNodes)
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Line: n.Line, Column: n.Column}
	}
	whole := *n
	whole.Content = make([]*yaml.Node, len(n.Content))
	for i, c := range n.Content {
		whole.Content[i] = r.expand(c, depth+1)
	}
	return &whole
}

// entries yields the keys of a mapping with their values.
func (r *reader) entries(n *yaml.Node, what string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		if n == nil {
			return
		}
		if n.Kind != yaml.MappingNode {
			r.fail(n, "%s must be a mapping, found %s", what, describe(n))
			return
		}
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			if seen[key.Value] {
				r.fail(key, "key %q comes twice in %s", key.Value, what)
				continue
			}
			seen[key.Value] = true
			if !yield(key, n.Content[i+1]) {
				return
			}
		}
	}
}

// fields returns the values of a mapping all of whose keys are known.
func (r *reader) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	found := map[string]*yaml.Node{}
	for key, value := range r.entries(n, what) {
		if !slices.Contains(known, key.Value) {
			r.fail(key, "unknown key %q in %s%s", key.Value, what, suggest(key.Value, known))
			continue
		}
		found[key.Value] = value
	}
	return found
}

// suggest is what to write instead of an unknown word: the nearest known one, or
// all of them.
func suggest(word string, known []string) string {
	near := bucketring.Suggest(word, known)
	switch {
	case near != "" || len(known) == 0:
		return near
	case len(known) == 1:
		return ": use " + known[0]
	}
	return ": use one of " + list(known)
}

// need complains about keys that are missing.
func (r *reader) need(n *yaml.Node, what string, found map[string]*yaml.Node, keys ...string) {
	if n.Kind != yaml.MappingNode {
		return // that was the complaint
	}
	for _, key := range keys {
		if found[key] == nil {
			r.fail(n, "%s needs the key %q", what, key)
		}
	}
}

// items returns the elements of a list that must not be empty.
func (r *reader) items(n *yaml.Node, what string) []*yaml.Node {
	switch {
	case n == nil:
		return nil
	case n.Kind != yaml.SequenceNode:
		r.fail(n, "%s must be a list, found %s", what, describe(n))
		return nil
	case len(n.Content) == 0:
		r.fail(n, "%s is empty: give at least one, or leave it out", what)
	}
	return n.Content
}

func describe(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case n.Tag == "!!null" || n.Tag == "":
		return "nothing"
	}
	return strconv.Quote(n.Value)
}

// text returns a scalar as it is written, so that 007 is not 7.
func (r *reader) text(n *yaml.Node, what string) string {
	switch {
	case n == nil:
		return ""
	case n.Kind != yaml.ScalarNode || n.Tag == "!!null":
		r.fail(n, "%s must be a text, found %s", what, describe(n))
		return ""
	}
	return n.Value
}

// texts returns a list of scalars.
func (r *reader) texts(n *yaml.Node, what string) []string {
	var all []string
	for _, item := range r.items(n, what) {
		all = append(all, r.text(item, what))
	}
	return all
}

// strings returns a mapping of scalars, not nil if there is one.
func (r *reader) strings(n *yaml.Node, what string) map[string]string {
	if n == nil {
		return nil
	}
	all := map[string]string{}
	for key, value := range r.entries(n, what) {
		all[key.Value] = r.text(value, fmt.Sprintf("%q of %s", key.Value, what))
	}
	return all
}

func (r *reader) boolean(n *yaml.Node, what string) (b bool) {
	if n != nil && (n.Tag != "!!bool" || n.Decode(&b) != nil) {
		r.fail(n, "%s must be true or false, found %s", what, describe(n))
	}
	return b
}

// number returns a whole number within bounds.
func (r *reader) number(n *yaml.Node, what string, least, most int64) (i int64) {
	if n != nil && (n.Tag != "!!int" || n.Decode(&i) != nil || i < least || i > most) {
		r.fail(n, "%s must be a whole number from %d to %d, found %s", what, least, most, describe(n))
	}
	return i
}

// maxTimes bounds how often one step is repeated.
const maxTimes = 10_000_000

// times returns a number of repetitions, 1 if it is absent.
func (r *reader) times(n *yaml.Node) int {
	if n == nil {
		return 1
	}
	return int(r.number(n, "times", 1, maxTimes))
}

func (r *reader) duration(n *yaml.Node, what string) time.Duration {
	text := r.text(n, what)
	if text == "" {
		return 0
	}
	d, err := parseDuration(text)
	if err != nil || d < 0 {
		r.fail(n, "%s is %q, it must be a time such as 100ms, 30s, 1h30m or 2d", what, text)
	}
	return d
}

// parseDuration reads what Go and policies write: 1h30m, 2d, 1w.
func parseDuration(text string) (time.Duration, error) {
	for suffix, unit := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if count, ok := strings.CutSuffix(text, suffix); ok {
			n, err := strconv.ParseUint(count, 10, 16)
			return time.Duration(n) * unit, err
		}
	}
	return time.ParseDuration(text)
}

// time returns a moment that nanoseconds can count.
func (r *reader) time(n *yaml.Node, what string) time.Time {
	text := r.text(n, what)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		r.fail(n, "%s is %q, it must be a time such as 2024-01-01T00:00:00Z or 2024-01-01T01:00:00.5+01:00", what, text)
	}
	return t.UTC()
}

func (r *reader) address(n *yaml.Node, what string) netip.Addr {
	text := r.text(n, what)
	if text == "" {
		return netip.Addr{}
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		r.fail(n, "%s is %q, it must be an IP address without a port", what, text)
	}
	return addr
}

// An amount is a cost or level: whole units and billionths, of the same sign.
type amount struct {
	units int64
	nanos int32
}

var (
	amountForm = regexp.MustCompile(`^(-?[0-9]+(?:\.[0-9]{1,9})?)([kKMGTP]i?B)?$`)
	sizes      = map[string]int64{
		"": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
		"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
	}
)

func (r *reader) amount(n *yaml.Node, what string) (a amount) {
	text := r.text(n, what)
	if text == "" {
		return a
	}
	parts := amountForm.FindStringSubmatch(text)
	if parts == nil || sizes[parts[2]] == 0 {
		r.fail(n, "%s is %q, it must be a number such as 1, 12.5, 25MB or 1MiB, with 9 decimals at most", what, text)
		return a
	}
	value, _ := new(big.Rat).SetString(parts[1])
	value.Mul(value, new(big.Rat).SetInt64(sizes[parts[2]]))
	value.Mul(value, big.NewRat(1e9, 1)) // whole now: there are 9 decimals at most
	units, nanos := new(big.Int).QuoRem(value.Num(), big.NewInt(1e9), new(big.Int))
	if !units.IsInt64() {
		r.fail(n, "%s is %q, which is too large: at most %d", what, text, int64(bucketring.Unlimited))
	}
	return amount{units.Int64(), int32(nanos.Int64())}
}
