package main

import (
	"bytes"
	"cmp"
	"fmt"
	"html"
	"html/template"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/wcharczuk/go-chart/v2"
)

// A plot shows a unit of one family against a number in the names of its benchmarks.
type plot struct {
	title, family, along string
	units                []string
}

var plots = []plot{
	{"Latency in µs against offered calls/s", "Latency", "rate=", []string{"p50-us", "p99-us", "p99.9-us"}},
	{"Decisions/s against callers", "Take", "callers=", []string{"decisions/s"}},
	{"Part of the calls in % that needed no other node, against offered calls/s", "Leased", "rate=", []string{"local-%", "lent-%"}},
	{"CPU of both ends in ns for a decision, against callers", "Take", "callers=", []string{"cpu-ns/decision"}},
}

type point struct{ x, y float64 }

// plots draws those for which there are figures.
func (r *runs) plots() (all []template.HTML, err error) {
	for _, p := range plots {
		lines := r.lines(p)
		if len(lines) == 0 {
			continue
		}
		svg, err := draw(p.title, lines)
		if err != nil {
			return nil, fmt.Errorf("plot %q: %w", p.title, err)
		}
		all = append(all, svg)
	}
	return all, nil
}

// lines collects the points of a plot: one line for each unit and all else in the name.
func (r *runs) lines(p plot) map[string][]point {
	lines := map[string][]point{}
	for _, name := range r.order {
		parts := strings.Split(name, "/")
		x, err := strconv.ParseFloat(part(parts, p.along), 64)
		if parts[0] != p.family || err != nil {
			continue
		}
		others := slices.DeleteFunc(parts[1:], func(one string) bool { return strings.HasPrefix(one, p.along) })
		for _, unit := range p.units {
			if y, _, ok := r.median(name, unit); ok && y > 0 {
				line := strings.Join(others, " ") + " " + unit
				lines[line] = append(lines[line], point{x, y})
			}
		}
	}
	maps.DeleteFunc(lines, func(_ string, points []point) bool { return len(points) < 2 })
	return lines
}

// draw makes an SVG picture with both axes in powers of ten.
func draw(title string, lines map[string][]point) (template.HTML, error) {
	c := chart.Chart{Title: title, Width: 860, Height: 420, Background: chart.Style{Padding: chart.Box{Left: 280, Top: 40, Right: 20}}}
	power := func(v any) string { return fmt.Sprintf("%.3g", math.Pow(10, v.(float64))) }
	c.XAxis.ValueFormatter, c.YAxis.ValueFormatter = power, power
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		points := lines[name]
		slices.SortFunc(points, func(a, b point) int { return cmp.Compare(a.x, b.x) })
		s := chart.ContinuousSeries{Name: html.EscapeString(name), Style: chart.Style{DotWidth: 3, StrokeWidth: 2}}
		for _, p := range points {
			s.XValues, s.YValues = append(s.XValues, math.Log10(p.x)), append(s.YValues, math.Log10(p.y))
		}
		c.Series = append(c.Series, s)
	}
	c.Elements = []chart.Renderable{chart.LegendLeft(&c)}
	var svg bytes.Buffer
	if err := c.Render(chart.SVG, &svg); err != nil {
		return "", err
	}
	return template.HTML(svg.String()), nil // #nosec: drawn here
}
