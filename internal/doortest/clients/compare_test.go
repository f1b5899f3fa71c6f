// compare_test.go compares answers with recorded ones.

package clients_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// masked stands for a time in recorded answers.
const masked = "<masked>"

// seconds is how long each unit is.
var seconds = map[string]int{"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800, "MONTH": 2592000, "YEAR": 31536000}

// tidy takes out of an answer what may differ: what another version of envoyproxy/ratelimit
// has, and limits by which the two describe a descriptor.
func tidy(answer map[string]any) {
	metadata, _ := answer["dynamicMetadata"].(map[string]any)
	delete(metadata, "quotaModeEnabled")
	delete(metadata, "quotaModeViolations")
	descriptors, _ := metadata["descriptors"].([]any)
	for _, d := range descriptors {
		if one, ok := d.(map[string]any); ok {
			delete(one, "limit")
		}
	}
}

// compare returns where two JSON values differ, "" if nowhere.
func compare(want, got any, at string) string { return within(want, got, at, seconds["YEAR"]) }

// within compares, and wants masked times to be 1 to most seconds.
func within(want, got any, at string, most int) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(w)), slices.Sorted(maps.Keys(g))) {
			break
		}
		if limit, ok := w["currentLimit"].(map[string]any); ok {
			unit, _ := limit["unit"].(string)
			most = seconds[unit]
		}
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if diff := within(w[key], g[key], at+"."+key, most); diff != "" {
				return diff
			}
		}
		return ""
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			break
		}
		for i := range w {
			if diff := within(w[i], g[i], fmt.Sprintf("%s[%d]", at, i), most); diff != "" {
				return diff
			}
		}
		return ""
	default:
		if want == got {
			return ""
		}
		text, _ := got.(string)
		if n, err := strconv.Atoi(strings.TrimSuffix(text, "s")); want == masked && err == nil && n >= 1 && n <= most {
			return ""
		}
	}
	return fmt.Sprintf("%s = %v, want %v", at, got, want)
}
