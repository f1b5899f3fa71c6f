package policy

import (
	"fmt"
	"strings"
)

// dump writes a domain as lines, a level deeper for each level.
func (d *Domain) dump(notes []Error) string {
	var b strings.Builder
	fmt.Fprintf(&b, "domain %q\n", d.name)
	d.top.dump(&b, d.nodes, "  ")
	for _, note := range notes {
		fmt.Fprintf(&b, "%s\n", note.Error())
	}
	return b.String()
}

func (l *level) dump(b *strings.Builder, nodes []*dialectNode, indent string) {
	for _, n := range nodes {
		fmt.Fprintf(b, "%skey=%q value=%q pattern=%v share=%v reveal=%v depth=%d\n", indent, n.key, n.value, n.pattern != nil, n.share, n.reveal, n.depth)
		if r := n.rule; r != nil {
			fmt.Fprintf(b, "%s- name=%q %d per %d s unlimited=%v shadow=%v quota=%v detailed=%v replaces=%q metadata=%v\n", indent,
				r.Name, r.Requests, r.Unit.Seconds(), r.Unlimited, r.Shadow, r.Quota, r.detailed, r.Replaces, r.Metadata)
		}
		n.below.dump(b, n.nodes, indent+"  ")
	}
}
