package metrics_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A series is one line of a scrape.
type series struct {
	name   string
	labels map[string]string
}

var label = regexp.MustCompile(`(\w+)(=~|!~|!=|=)"([^"]*)"`)

// scraped are the series of a node on which everything has happened.
func scraped(t *testing.T) (all []series) {
	t.Helper()
	line := regexp.MustCompile(`^(\w+)(?:{(.*)})? \S+\n$`)
	for text := range strings.Lines(scrape(t)) {
		if parts := line.FindStringSubmatch(text); parts != nil {
			s := series{parts[1], map[string]string{}}
			for _, l := range label.FindAllStringSubmatch(parts[2], -1) {
				s.labels[l[1]] = l[3]
			}
			all = append(all, s)
		}
	}
	return all
}

// matches reports whether a selector such as {state="dead"} takes a series. What the scraper
// adds, and what a dashboard fills in, takes all.
func (s series) matches(t *testing.T, selector string) bool {
	t.Helper()
	for _, l := range label.FindAllStringSubmatch(selector, -1) {
		name, op, value := l[1], l[2], l[3]
		if slices.Contains([]string{"job", "instance"}, name) {
			continue
		}
		has, ok := s.labels[name]
		equal := has == value
		if strings.HasSuffix(op, "~") {
			equal = regexp.MustCompile("^(?:" + value + ")$").MatchString(has)
		}
		if !ok || equal == strings.HasPrefix(op, "!") {
			return false
		}
	}
	return true
}

var selected = regexp.MustCompile(`\b((?:bucketring|ratelimit|process|go)_\w+)({[^}]*})?`)

// checkSelectors fails for what an expression looks for and no node has. It returns how many
// selectors there are.
func checkSelectors(t *testing.T, where, text string, all []series) int {
	t.Helper()
	found := selected.FindAllStringSubmatch(text, -1)
	for _, f := range found {
		if !slices.ContainsFunc(all, func(s series) bool { return s.name == f[1] && s.matches(t, f[2]) }) {
			t.Errorf("%s asks for %s, which no node has", where, f[0])
		}
	}
	return len(found)
}

// An alert on a metric that does not exist never fires.
func TestAlertsAskForWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../deploy/prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if n := checkSelectors(t, "rules.yaml", string(text), scraped(t)); n < 15 {
		t.Errorf("rules.yaml has %d selectors, want 15 or more", n)
	}
}

func TestDashboardAsksForWhatThereIs(t *testing.T) {
	text, err := os.ReadFile("../../deploy/grafana/bucketring.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	all, ids, panels := scraped(t), map[int]bool{}, 0
	for _, p := range board.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q has the id %d of another one", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			if checkSelectors(t, "panel "+p.Title, target.Expr, all) == 0 {
				t.Errorf("panel %q asks for nothing: %s", p.Title, target.Expr)
			}
			panels++
		}
	}
	for _, v := range board.Templating.List {
		checkSelectors(t, "a variable", v.Query, all)
	}
	if panels < 20 {
		t.Errorf("%d panels ask for something, want 20 or more", panels)
	}
}

// Selectors that look for what is not there are found.
func TestSelectorsAreChecked(t *testing.T) {
	all := []series{{"bucketring_members", map[string]string{"state": "dead"}}}
	for selector, want := range map[string]bool{
		`{}`: true, `{state="dead"}`: true, `{state="gone"}`: false, `{job="x",state=~"de.+"}`: true, `{state=~"ea"}`: false,
		`{state!="dead"}`: false, `{state!~"a.*"}`: true, `{stat="dead"}`: false,
	} {
		if got := all[0].matches(t, selector); got != want {
			t.Errorf("%s takes a dead member: %v, want %v", selector, got, want)
		}
	}
}
