package bucketring_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/bucketring/bucketring"
)

func TestStepRequest(t *testing.T) {
	with := func(change func(r *bucketring.Request)) bucketring.Request {
		r := bucketring.StepRequest(7, "k", 1, 2)
		change(&r)
		return r
	}
	many := make([]int64, bucketring.MaxNumbers)
	tests := []struct {
		name string
		r    bucketring.Request
		want string
	}{
		{"plain", bucketring.StepRequest(7, "k", 1, 2), ""},
		{"no arguments", bucketring.StepRequest(7, "k"), ""},
		{"most arguments", bucketring.StepRequest(7, "k", many...), ""},
		{"more arguments", bucketring.StepRequest(7, "k", append(slices.Clone(many), 1)...), "a step has 17 arguments, at most 16 are allowed"},
		{"no id", bucketring.StepRequest(0, "k"), "has an id and nothing else"},
		{"no key", bucketring.StepRequest(7, ""), "key is missing"},
		{"long key", bucketring.StepRequest(7, strings.Repeat("k", 513)), "key has 513 bytes"},
		{"a cost", with(func(r *bucketring.Request) { r.Cost = 1 }), "no cost and no token"},
		{"a token", with(func(r *bucketring.Request) { r.Token = "0123456789abcdef" }), "no cost and no token"},
		{"no limit", with(func(r *bucketring.Request) { r.Limits = nil }), "one limit, a register"},
		{"two limits", with(func(r *bucketring.Request) { r.Limits = append(r.Limits, r.Limits[0]) }), "one limit, a register"},
		{"a rate", with(func(r *bucketring.Request) { r.Limits = bucketring.MustParse("1/s") }), "one limit, a register"},
		{"an amount", with(func(r *bucketring.Request) { r.Limits[0].Amount = 1 }), "has an id and nothing else"},
		{"taken from", with(func(r *bucketring.Request) { r.Verb, r.Args = bucketring.VerbTake, nil }), "has no tokens to take"},
		{"looked at", with(func(r *bucketring.Request) { r.Verb, r.Args = bucketring.VerbPeek, nil }), "has no tokens to peek"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { checkInvalid(t, tt.r.Validate(), tt.want) })
	}
}
