package gubernatorapi_test

import (
	"testing"

	"github.com/bucketring/bucketring/internal/gubernatorapi"
)

// vectors are what Gubernator v2.19.1 was seen to answer, and what we do: one script for
// each row of questions on a new key. The limit is 10 per minute unless it is given.
var vectors = []struct{ name, script string }{
	{"token", `
		1          | U9 60000
		0          | U9 60000
		20         | O9 60000
		9          | U0 60000
		0          | U0 60000
		1          | O0 60000
		0          | O0 60000
		1 limit=15 | O4 | U4 | D1
		1 limit=15 | O3 | U3 | D1
		-3 limit=15 | O6 | U6 | D1
		1 limit=2  | O0
		0 limit=2  | O0`},
	{"token: too much at first", `
		20 | O10
		10 | U0
		1  | O0`},
	{"token: too much at first, drained", `
		20 DRAIN | O10 | O0 | D3
		0        | U10 | U0 | D3`},
	{"token: drained", `
		1        | U9
		20 DRAIN | O0
		0        | U0
		1        | O0`},
	{"token: given back", `
		-5 | U15
		15 | U0
		0  | U0`},
	{"token: reset", `
		3 RESET | U7 60000
		3 RESET | U10 =0
		0       | U10 60000`},
	{"token: limit 0", `
		0 limit=0 | U0
		1 limit=0 | O0`},
	{"token: duration 0", `
		1 duration=0 | U9 0
		1 duration=0 | U9 0`},
	{"token: other durations", `
		3                    | U7 60000
		@1s 0 duration=120s  | U7 119000
		@2s 1 duration=30s   | U6 28000`},
	{"token: a shorter duration ends the window", `
		10                   | U0 60000
		1                    | O0 60000
		@20s 1 duration=10s  | O0 10000 | U9 10000 | D1 D2
		1 duration=10s       | O9 10000 | U8 10000 | D1`},
	{"token, then leaky, then token", `
		4       | U6
		1 LEAKY | U9
		1       | U9`},
	{"leaky, then token with reset", `
		4 LEAKY | U6
		1 RESET | U10 =0
		0       | U10`},
	{"token: as it expires", `
		10             | U0 60000
		@60s 1         | O0 0
		@60.001s 1     | U9 60000`},

	{"leaky", `
		1 LEAKY       | U9 6000
		0 LEAKY       | U9 6000
		20 LEAKY      | O9 6000
		9 LEAKY       | U0 60000
		0 LEAKY       | U0 60000
		1 LEAKY       | O0 60000
		0 LEAKY       | U0 60000
		-5 LEAKY      | U5 30000
		-50 LEAKY     | U55 -270000
		0 LEAKY       | U10 0
		3 LEAKY RESET | U7 18000`},
	{"leaky: burst", `
		1 LEAKY burst=20 | U19 -54000
		5 LEAKY burst=20 | U14 -24000
		1 LEAKY burst=5  | U4 36000
		1 LEAKY burst=30 | U29 -114000`},
	{"leaky: too much at first", `
		20 LEAKY | O0 60000
		1 LEAKY  | O0 60000`},
	{"leaky: another limit", `
		1 LEAKY           | U9 6000
		1 LEAKY limit=100 | U99 600`},
	{"leaky: half a ms for a token", `
		100 LEAKY limit=2000 duration=1s        | U1900 0 | U1900 50 | D5
		5000 LEAKY DRAIN limit=2000 duration=1s | O0 0 | O0 50 | D5`},
	{"leaky: limit 0", `
		0 LEAKY limit=0 | U0 0
		1 LEAKY limit=0 | O0 0`},
	{"leaky over time", `
		10 LEAKY duration=10s       | U0
		@900ms 0 LEAKY duration=10s | U0
		@1s 0 LEAKY duration=10s    | U1
		@2.5s 1 LEAKY duration=10s  | U1
		1 LEAKY duration=10s        | U0
		@2.999s 0 LEAKY duration=10s | U0
		@3s 0 LEAKY duration=10s    | U0 | U1 | D4
		@3.4s 0 LEAKY duration=10s  | U0 | U1 | D4
		@3.5s 0 LEAKY duration=10s  | U1`},
	{"leaky: drained at nothing", `
		10 LEAKY duration=10s            | U0
		@500ms 1 LEAKY DRAIN duration=10s | O0
		@1s 0 LEAKY duration=10s         | U1`},
}

func TestVectors(t *testing.T) {
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			runScript(t, standard(), v.script)
			runScript(t, gubernatorapi.Config{Limiter: immediate{&fake{newWorld(), "a"}}}, v.script)
		})
	}
}
