// Package house checks how the house is built. It has no code, only tests: the
// floor plan and the rules of the style as tables, held against every package.
//
// A new folder, module or exception needs a line in a table here and a record
// in docs/decisions that says why. Read next: plan_test.go for the floor plan,
// rules_test.go for the rules of a file, house_test.go for what runs them.
package house
