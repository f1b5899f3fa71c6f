package bucketring

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Suggest names the word of known that is nearest to word, as the half sentence
// `: did you mean "x"?` that ends an error, or nothing if none is within two
// edits. Another case of the same word is nearest. All rooms suggest by it.
func Suggest(word string, known []string) string {
	best, bestDist := "", 3
	for _, k := range known {
		d := distance(word, k)
		if strings.EqualFold(word, k) {
			d -= len(word)
		}
		if k == "" || d >= len(word) {
			continue // nothing in common
		}
		if d < bestDist || d == bestDist && best != "" && longerOrEarlier(k, best) {
			best, bestDist = k, d
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + strconv.Quote(best) + "?"
}

// longerOrEarlier orders equally near words: a forgotten letter is likelier than
// one too many.
func longerOrEarlier(a, b string) bool {
	return len(a) > len(b) || len(a) == len(b) && a < b
}

// distance is the Levenshtein distance of a and b, at least 9 for long words.
func distance(a, b string) int {
	if len(a) > 40 || !utf8.ValidString(a) {
		return 9
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
