// Command report makes a page of what benchmarks have measured: tables, and plots as SVG.
//
//	go -C bench/report run . FILE... >report.html
//
// The files are what make bench has written: lines that say what machine it was, and the
// output of go test -bench. Several runs of a benchmark become a median with its spread.
// Figures stand beside the floor that was measured in the same run, where there is one.
//
// It is a module of its own, so that nobody who builds bucketring needs a chart engine.
//
//	main.go   reads files and writes the page
//	table.go  makes the tables
//	plot.go   draws the plots
package main
