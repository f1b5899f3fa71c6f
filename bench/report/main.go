package main

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/perf/benchfmt"
)

//go:embed page.html
var files embed.FS

var page = template.Must(template.ParseFS(files, "page.html"))

// A result is one file.
type result struct {
	Name   string
	About  []benchfmt.Config // what it says of machine, commit and command
	Broken []string          // benchmarks that failed and brought no figures
	Tables []table
	Plots  []template.HTML
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "report: give the files that make bench has written")
		os.Exit(2)
	}
	if err := report(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func report(to io.Writer, names []string) error {
	var results []result
	for _, name := range names {
		r, err := read(name)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		results = append(results, *r)
	}
	out := bufio.NewWriter(to)
	return errors.Join(page.Execute(out, results), out.Flush())
}

// read reads one file.
func read(name string) (*result, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r := &result{Name: filepath.Base(name)}
	var runs runs
	lines := benchfmt.NewReader(file, name)
	for lines.Scan() {
		switch line := lines.Result().(type) {
		case *benchfmt.Result:
			if r.About == nil {
				r.About = line.Clone().Config
			}
			runs.add(line)
		case *benchfmt.SyntaxError: // a benchmark that failed breaks off its line
			r.Broken = append(r.Broken, line.Error())
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(runs.order) == 0 {
		return nil, errors.New("no benchmark is in it")
	}
	r.Tables = runs.tables()
	r.Plots, err = runs.plots()
	return r, err
}
