package envoyrls_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/bucketring/bucketring/internal/envoyrls"
)

// A vector is a call and what envoyproxy/ratelimit answered.
type vector struct {
	Case     string
	Step     int
	Profile  string
	Setup    []json.RawMessage
	Request  json.RawMessage
	HTTP     int
	Response json.RawMessage
}

// play plays recorded calls in order.
func play(t *testing.T, d *door, vectors []vector) {
	for _, v := range vectors {
		name := fmt.Sprintf("%s %d", v.Case, v.Step)
		for _, request := range v.Setup {
			_, _ = d.try(wire(request))
		}
		if v.Profile != "" {
			continue // another version of the dialect
		}
		resp, err := d.try(wire(v.Request))
		if v.HTTP == 400 {
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("%s: %v, want INVALID_ARGUMENT", name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if over := short(resp.GetOverallCode()) == "over"; over != (v.HTTP == 429) {
			t.Errorf("%s: overall %v, want the code of %d", name, resp.GetOverallCode(), v.HTTP)
		}
		text, err := protojson.Marshal(resp)
		if err != nil {
			t.Fatal(err)
		}
		var want, got map[string]any
		if json.Unmarshal(v.Response, &want) != nil || json.Unmarshal(text, &got) != nil {
			t.Fatalf("%s: no JSON object in %s or %s", name, v.Response, text)
		}
		tidy(want)
		tidy(got)
		if diff := compare(want, got, "answer"); diff != "" {
			t.Errorf("%s: %s\ngot %s", name, diff, text)
		}
	}
}

// wire gives a unit of an override that the enum does not have its number.
func wire(request json.RawMessage) string {
	return strings.ReplaceAll(string(request), `"WEEK"`, "7")
}

// tidy takes out of an answer what may differ.
func tidy(answer map[string]any) {
	metadata, _ := answer["dynamicMetadata"].(map[string]any)
	delete(metadata, "quotaModeEnabled")
	delete(metadata, "quotaModeViolations")
	descriptors, _ := metadata["descriptors"].([]any)
	for _, one := range descriptors {
		delete(one.(map[string]any), "limit")
	}
}

// year is the most seconds that a masked time can be.
const year = 31536000

// compare returns where two JSON values differ, "" if nowhere.
func compare(want, got any, at string) string {
	switch w := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(w)), slices.Sorted(maps.Keys(g))) {
			return fmt.Sprintf("%s = %v, want %v", at, got, want)
		}
		for key := range w {
			if diff := compare(w[key], g[key], at+"."+key); diff != "" {
				return diff
			}
		}
		return masked(w, g, at)
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(w) {
			return fmt.Sprintf("%s = %v, want %v", at, got, want)
		}
		for i := range w {
			if diff := compare(w[i], g[i], fmt.Sprintf("%s[%d]", at, i)); diff != "" {
				return diff
			}
		}
		return ""
	}
	if want != got && want != "<masked>" {
		return fmt.Sprintf("%s = %v, want %v", at, got, want)
	}
	return ""
}

// masked checks that masked times of an object are within the unit that it names.
func masked(want, got map[string]any, at string) string {
	most := year
	if limit, ok := want["currentLimit"].(map[string]any); ok {
		most = map[any]int{"SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400, "WEEK": 604800, "MONTH": 2592000, "YEAR": year}[limit["unit"]]
	}
	for key, value := range want {
		if value != "<masked>" {
			continue
		}
		text, _ := got[key].(string)
		if n, err := strconv.Atoi(strings.TrimSuffix(text, "s")); err != nil || n < 1 || n > most {
			return fmt.Sprintf("%s.%s = %v, want 1 to %d seconds", at, key, got[key], most)
		}
	}
	return ""
}

// TestGolden: the answers are those of envoyproxy/ratelimit.
func TestGolden(t *testing.T) {
	text, err := os.ReadFile("testdata/envoy-golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Config  []string
		Vectors []vector
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	if len(golden.Vectors) < 35 {
		t.Fatalf("there are %d vectors, want 35 or more", len(golden.Vectors))
	}
	settings := envoyrls.Settings{ResponseHeaders: envoyrls.On, DynamicMetadata: true}
	config := strings.Join(golden.Config, "\n")
	play(t, open(t, settings, config), golden.Vectors)

	d := open(t, settings, config)
	both := `{"domain": "golden", "descriptors": [{"entries": [{"key": "svc", "value": "one"}]}, {"entries": [{"key": "svc", "value": "two"}]}]}`
	d.expect(both, "ok | ok 0/1 | ok 1/2")
	d.expect(both, "ok | over 0/1 | ok 0/2")
	d.expect(both, "over | over 0/1 | over 0/2")
}
