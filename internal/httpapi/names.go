// names.go knows which fields a call may have, and names the nearest of a wrong
// one.

package httpapi

import (
	"strconv"
	"strings"

	"github.com/bucketring/bucketring"
)

// A fieldSet is a set of fields, one bit each.
type fieldSet uint8

func (set fieldSet) has(i int) bool { return set&(1<<i) != 0 }

// add returns the index of name in fields, -1 if it is none of them. It refuses
// unknown and repeated ones.
func (set *fieldSet) add(name []byte, fields []string) (int, error) {
	for i, field := range fields {
		if string(name) != field {
			continue
		}
		if set.has(i) {
			return i, bucketring.Invalidf("%s is given twice", field)
		}
		*set |= 1 << i
		return i, nil
	}
	return -1, unknownField(string(name), fields)
}

func unknownField(name string, fields []string) error {
	near := bucketring.Suggest(name, fields)
	switch {
	case len(fields) == 0:
		near = ": this call takes none"
	case near == "":
		near = ": known are " + strings.Join(fields, ", ")
	}
	return bucketring.Invalidf("unknown field %s%s", short(name), near)
}

// short quotes the caller's own word, cut where it is long.
func short(word string) string {
	const most = 20
	if len(word) > most {
		word = strings.ToValidUTF8(word[:most], "") + "..."
	}
	return strconv.Quote(word)
}
