package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
)

// TestShow: people read what programs get.
func TestShow(t *testing.T) {
	var out bytes.Buffer
	d := &show{out: &out}
	d.say("start %d nodes", 3)
	d.promise(true, "all are there")
	d.tell("n1 owns %d", 5)
	d.say("kill one")
	d.promise(false, "calls that failed: %d", 7)
	const want = "1. start 3 nodes\n" +
		"   all are there                                                      ok\n" +
		"   n1 owns 5\n" +
		"2. kill one\n" +
		"   calls that failed: 7                                               BROKEN\n"
	if out.String() != want {
		t.Errorf("text =\n%s\nwant\n%s", &out, want)
	}
	const wantJSON = `{"steps":[{"step":"start 3 nodes","facts":[{"fact":"all are there","held":true},{"fact":"n1 owns 5"}]},` +
		`{"step":"kill one","facts":[{"fact":"calls that failed: 7","held":false}]}],"broken":1,"held":false}`
	if got, err := json.Marshal(d.whole(nil)); err != nil || string(got) != wantJSON {
		t.Errorf("report = %s, %v, want\n%s", got, err, wantJSON)
	}
	for _, tt := range []struct {
		broken int
		err    error
		held   bool
	}{{0, nil, true}, {1, nil, false}, {0, errors.New("no port is free"), false}} {
		if got := (&show{broken: tt.broken}).whole(tt.err); got.Held != tt.held || got.Steps == nil {
			t.Errorf("report of %d broken promises and error %v = %+v, want held %v", tt.broken, tt.err, got, tt.held)
		}
	}
}
