package policy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bucketring/bucketring/policy"
)

func TestTemplates(t *testing.T) {
	values := map[string]string{
		"limit": "500", "remaining": "null", "retry_after": "47", "policy": `"wri\"te"`, "unit": `"requests"`, "reset_unix": "null",
	}
	tests := []struct{ yaml, want string }{
		{`"${retry_after}"`, `47`},
		{`"in ${retry_after} s"`, `"in 47 s"`},
		{`"${policy}"`, `"wri\"te"`},
		{`"<${policy}>"`, `"<wri\"te>"`},
		{`"${reset_unix}"`, `null`},
		{`"at ${reset_unix}."`, `"at ."`},
		{`"of ${remaining}"`, `"of "`},
		{`"${limit}${limit}"`, `"500500"`},
		{`"$${limit}"`, `"${limit}"`},
		{`"$$${limit}"`, `"$${limit}"`},
		{`"a \"quote\", a \\ and & < >"`, `"a \"quote\", a \\ and & < >"`},
		{`{b: 1, a: [true, ~, 1.50, "x", 0x10], c: {}}`, `{"b":1,"a":[true,null,1.5,"x",16],"c":{}}`},
		{`2024-01-01`, `"2024-01-01"`},
		{"a: &x {n: \"${limit}\"}\nb: *x", `{"a":{"n":500},"b":{"n":500}}`},
	}
	for _, tt := range tests {
		got, problems, err := policy.Render(tt.yaml, func(name string) string { return values[name] })
		if got != tt.want || err != nil || problems != nil {
			t.Errorf("template %s = %s, %q, %v, want %s", tt.yaml, got, problems, err, tt.want)
		}
	}
}

func TestTemplateProblems(t *testing.T) {
	for yaml, want := range map[string]string{
		`"${retry_afer}"`:    `unknown variable "retry_afer": did you mean "retry_after"?`,
		`"x ${limit"`:        "does not end",
		`"${requests.used}"`: `unknown variable "requests.used"`,
		`"${}"`:              `unknown variable ""`,
		`.inf`:               "no value that JSON has",
	} {
		_, problems, err := policy.Render(yaml, func(string) string { return "1" })
		if err != nil || len(problems) != 1 || !strings.Contains(problems[0], want) {
			t.Errorf("template %s has problems %q, %v, want one with %q", yaml, problems, err, want)
		}
	}
}

// Whatever the template and the values, a template without problems is JSON.
func FuzzTemplate(f *testing.F) {
	f.Add(`{error: {code: x, message: "in ${retry_after} s: ${policy}"}, n: "${limit}"}`, `a"b`)
	f.Add("a: &x [1, *y]\nb: *x", "\xff\x00")
	f.Add(`"$${${limit}}"`, "é\u2028")
	f.Fuzz(func(t *testing.T, yaml, value string) {
		if len(yaml) > 4096 {
			return
		}
		quoted, _ := json.Marshal(value)
		body, problems, err := policy.Render(yaml, func(name string) string {
			if name == "policy" {
				return string(quoted)
			}
			return "17"
		})
		if err == nil && problems == nil && body != "" && !json.Valid([]byte(body)) {
			t.Errorf("template %q renders %q, which is not JSON", yaml, body)
		}
	})
}
