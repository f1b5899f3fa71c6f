package bucketring_test

import (
	"fmt"

	"github.com/bucketring/bucketring"
)

func ExampleParse() {
	limits, err := bucketring.Parse("10/s burst=50, 1.5MB/30s, 5000/day algorithm=fixed_window")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, l := range limits {
		fmt.Printf("%s: %d tokens per %v, at most %d at once, %v\n", l.Name, l.Amount, l.Per, l.Capacity(), l.Algorithm)
	}
	// Output:
	// inline: 10 tokens per 1s, at most 50 at once, token_bucket
	// inline-2: 1500000 tokens per 30s, at most 1500000 at once, token_bucket
	// inline-3: 5000 tokens per 24h0m0s, at most 5000 at once, fixed_window
}

func ExampleParse_misspelt() {
	_, err := bucketring.Parse("10/s, 500/mn")
	fmt.Println(err)
	// Output: limit 2, column 5: unknown unit "mn": did you mean "min"?
}

func ExampleMustParse() {
	var perMinute = bucketring.MustParse("100/m")
	fmt.Println(perMinute[0])
	// Output: 100/m
}

func ExampleRequest() {
	req := bucketring.Request{
		Key:    "user:alice",
		Limits: bucketring.MustParse("5/s, 100/m"),
		Cost:   1,
	}
	fmt.Println(req.Verb, req.Validate())
	// Output: take <nil>
}
