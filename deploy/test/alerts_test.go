// alerts_test.go checks that alerts help who is woken by them.

package deploy_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A rule is one alert.
type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	parseYAML(t, "deploy/prometheus/rules.yaml", &file)
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 10 {
		t.Fatalf("found %d rules, want 10 or more", len(all))
	}
	return all
}

// TestEveryAlertHasARunbook: each alert leads to a paragraph, and each paragraph is led to.
func TestEveryAlertHasARunbook(t *testing.T) {
	doc := read(t, "docs/operations.md")
	_, after, _ := strings.Cut(doc, "\n## Alerts\n")
	section, _, _ := strings.Cut(after, "\n## ")
	paragraphs := regexp.MustCompile(`(?m)^### (\w+)\n\n[A-Z]`).FindAllStringSubmatch(section, -1)
	var names []string
	for _, r := range rules(t) {
		names = append(names, r.Alert)
		if !slices.ContainsFunc(paragraphs, func(p []string) bool { return p[1] == r.Alert }) {
			t.Errorf("docs/operations.md has no paragraph on %s", r.Alert)
		}
		const page = "https://github.com/bucketring/bucketring/blob/main/docs/operations.md#"
		if got, want := r.Annotations["runbook_url"], page+strings.ToLower(r.Alert); got != want {
			t.Errorf("%s leads to %s, want %s", r.Alert, got, want)
		}
		if !slices.Contains([]string{"critical", "warning"}, r.Labels["severity"]) || r.Annotations["summary"] == "" || r.Expr == "" {
			t.Errorf("%+v: want a severity, critical or warning, a summary and an expression", r)
		}
	}
	for _, p := range paragraphs {
		if !slices.Contains(names, p[1]) {
			t.Errorf("docs/operations.md has a paragraph on %s, which is no alert", p[1])
		}
	}
}

// TestEveryAlertIsTested: the tests for promtool have each alert fire.
func TestEveryAlertIsTested(t *testing.T) {
	tests := read(t, "deploy/prometheus/rules_test.yaml")
	for _, r := range rules(t) {
		if !strings.Contains(tests, `alertname="`+r.Alert+`"}`) {
			t.Errorf("rules_test.yaml does not expect %s", r.Alert)
		}
	}
}

// TestPrometheusReadsTheRules: they are where its configuration looks.
func TestPrometheusReadsTheRules(t *testing.T) {
	var config struct {
		Files []string `yaml:"rule_files"`
	}
	parseYAML(t, "deploy/prometheus/prometheus.yml", &config)
	mount := "./deploy/prometheus/rules.yaml:/etc/prometheus/rules.yaml:ro"
	if !slices.Equal(config.Files, []string{"rules.yaml"}) || !slices.Contains(compose(t).Services["prometheus"].Volumes, mount) {
		t.Errorf("prometheus reads the rules %v and has the volumes %v, want rules.yaml and %s",
			config.Files, compose(t).Services["prometheus"].Volumes, mount)
	}
}

func TestPromtoolAgrees(t *testing.T) {
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	for _, args := range [][]string{
		{"check", "config", "prometheus.yml"}, {"check", "rules", "rules.yaml"}, {"test", "rules", "rules_test.yaml"},
	} {
		cmd := exec.CommandContext(t.Context(), tool, args...)
		cmd.Dir = filepath.Join(root, "deploy/prometheus")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}
