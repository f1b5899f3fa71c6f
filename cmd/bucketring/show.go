// show.go tells how the demo goes: line by line for people, as a whole for programs.

package main

import (
	"context"
	"fmt"
	"io"
)

// A show is the state of a running demo.
type show struct {
	ctx    context.Context
	out    io.Writer
	fleet  *fleet
	steps  []demoStep
	broken int // promises that did not hold
}

// A demoStep is what one step of the demo did.
type demoStep struct {
	Step  string     `json:"step"`
	Facts []demoFact `json:"facts"`
}

// A demoFact is what was seen.
type demoFact struct {
	Fact string `json:"fact"`
	Held *bool  `json:"held,omitempty"` // whether it is as promised; absent where nothing was
}

// A demoReport is the whole demo.
type demoReport struct {
	Steps  []demoStep `json:"steps"`
	Broken int        `json:"broken"`
	Held   bool       `json:"held"` // every promise, and no step failed
}

// whole says how it went, where err is what ended it.
func (d *show) whole(err error) demoReport {
	return demoReport{Steps: append([]demoStep{}, d.steps...), Broken: d.broken, Held: err == nil && d.broken == 0}
}

// say begins a step.
func (d *show) say(format string, args ...any) {
	d.steps = append(d.steps, demoStep{Step: fmt.Sprintf(format, args...), Facts: []demoFact{}})
	fmt.Fprintf(d.out, "%d. %s\n", len(d.steps), d.steps[len(d.steps)-1].Step)
}

// tell prints a fact that nothing was promised about.
func (d *show) tell(format string, args ...any) {
	fact := demoFact{Fact: fmt.Sprintf(format, args...)}
	d.add(fact)
	fmt.Fprintf(d.out, "   %s\n", fact.Fact)
}

// promise prints a fact and whether it is as it should be.
func (d *show) promise(held bool, format string, args ...any) {
	verdict := "ok"
	if !held {
		verdict = "BROKEN"
		d.broken++
	}
	fact := demoFact{fmt.Sprintf(format, args...), &held}
	d.add(fact)
	fmt.Fprintf(d.out, "   %-66s %s\n", fact.Fact, verdict)
}

func (d *show) add(fact demoFact) {
	step := &d.steps[len(d.steps)-1]
	step.Facts = append(step.Facts, fact)
}
