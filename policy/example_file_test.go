package policy_test

import (
	"fmt"

	"github.com/bucketring/bucketring/policy"
)

func ExampleParse() {
	_, err := policy.Parse("limits.yaml", []byte(`
apiVersion: limits/v1
namespace: api
limits:
  - name: api-read
    key: [user]
    limit: 1.5
    per: 1m
    algoritm: fixed_window
`), policy.Options{})
	fmt.Println(err)
	// Output:
	// limits.yaml:7:12: limit "api-read": 1.5 is not a whole number: give the limit a precision to keep decimals
	// limits.yaml:9:5: unknown key "algoritm" in limit "api-read": did you mean "algorithm"?
}
