// doors_test.go keeps the doors out of the rooms below them: a door is added there, and
// nowhere else.

package house_test

import (
	"go/ast"
	"regexp"
	"slices"
)

// foreignDoors are the words by which code would know one of the doors for other people's clients.
var foreignDoors = regexp.MustCompile(`(?i)envoy|gubernator|redis|resp3|forward_?-?auth|traefik|nginx|caddy|haproxy|postfix`)

// belowDoors are the rooms that decide: they carry what every door says in the same words.
// Policies are not among them: one of their dialects is Envoy's file format.
var belowDoors = []string{".", "bucket", "ring", "ring/handover", "cluster", "transport", "node"}

// noDoors holds for identifiers and texts. A comment may say who has a thing.
func (s *source) noDoors() {
	if !slices.Contains(belowDoors, s.pkg) {
		return
	}
	ast.Inspect(s.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if foreignDoors.MatchString(n.Name) {
				s.bad(n, "%s names a door in %s, which is below all doors: say what it does for any of them", n.Name, s.pkg)
			}
		case *ast.BasicLit:
			if foreignDoors.MatchString(n.Value) {
				s.bad(n, "%s names a door in %s, which is below all doors: have the door bring it along", n.Value, s.pkg)
			}
		}
		return true
	})
}
