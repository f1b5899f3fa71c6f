package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/httpapi"
)

// batchOf writes a batch of n takes with the keys 0 to n-1.
func batchOf(n int) string {
	items := make([]string, n)
	for i := range items {
		items[i] = fmt.Sprintf(`{"key":"%d","limit":"3/m"}`, i)
	}
	return `{"requests":[` + strings.Join(items, ",") + `]}`
}

// answers is a batch's answer as far as the tests look at it.
type answers struct {
	Decisions []struct {
		Owner string
		Error *struct {
			Status int
			Detail string
		}
	}
}

// echo is a Limiter that names the key as the owner and notes it.
func echo(seen *[]string) limiterFunc {
	return func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		*seen = append(*seen, req.Key)
		return bucketring.Decision{Allowed: true, Owner: req.Key}, nil
	}
}

func TestBatch(t *testing.T) {
	body := `{"requests":[` + strings.Join([]string{
		`{"key":"alice","limit":"3/m"}`,
		`{"key":"bob","limit":"3/m","cost":2}`,
		`{"key":"bob","limit":"3/mn"}`,
		`{"key":"bob","limt":"3/m","cost":{"deep":[1,2]}}`,
		`{"key":"bob","key":"carol","limit":"3/m"}`,
		`7`,
		`{}`,
		`{"key":"gone","limit":"3/m"}`,
		`{"key":"away","limit":"3/m"}`,
		`{"namespace":"voicedub","attributes":{"user":"u1"}}`,
		`{"key":"alice","limit":"3/m","cost":0}`,
	}, ",") + `]}`
	var b strings.Builder
	h := newHandler(limiterFunc(func(_ context.Context, req bucketring.Request) (bucketring.Decision, error) {
		fmt.Fprintf(&b, "limiter: %v key=%q limits=%v cost=%d namespace=%q attributes=%v\n",
			req.Verb, req.Key, req.Limits, req.Cost, req.Namespace, req.Attributes)
		switch {
		case req.Namespace != "":
			return bucketring.Decision{}, bucketring.ErrNoPolicy
		case req.Key == "bob":
			return denied(), nil
		case req.Key == "gone":
			return bucketring.Decision{}, bucketring.ErrUnavailable
		case req.Key == "away":
			return with(denied(), func(d *bucketring.Decision) {
				d.Source, d.Degraded = bucketring.SourceFallbackClosed, true
			}), nil
		}
		return allowed(), nil
	}))
	answer := dump(serve(h, request("/v1/take/batch", body)))
	b.Reset()
	if again := dump(serve(h, request("/v1/take/batch", body))); again != answer {
		t.Errorf("the second answer differs:\n%s", again)
	}
	// One line an item, so that a changed one shows.
	b.WriteString(strings.NewReplacer(`[{"allowed`, "[\n{\"allowed", `,{"allowed`, ",\n{\"allowed",
		`,{"error`, ",\n{\"error").Replace(answer))
	golden(t, "batch.golden", b.String())
}

func TestBatchKeepsOrder(t *testing.T) {
	var seen []string
	h := newHandler(echo(&seen))
	w := serve(h, request("/v1/take/batch", batchOf(1000)))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, detail(t, w))
	}
	got := decode[answers](t, w.Body)
	if len(got.Decisions) != 1000 || len(seen) != 1000 {
		t.Fatalf("%d answers to %d takes, want 1000 to 1000", len(got.Decisions), len(seen))
	}
	for i, d := range got.Decisions {
		if want := strconv.Itoa(i); d.Owner != want || seen[i] != want {
			t.Fatalf("answer %d is for %s, take %d was of %s", i, d.Owner, i, seen[i])
		}
	}
}

func TestBadBatches(t *testing.T) {
	long := strings.Repeat(" ", httpapi.MaxBody)
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"no object", `[]`, 400, `a batch must be an object such as {"requests":[{"key":"alice","limit":"3/m"}]}`},
		{"no requests", `{}`, 400, `requests is missing or empty: give 1 to 1000`},
		{"no request", `{"requests":[]}`, 400, `requests is missing or empty: give 1 to 1000`},
		{"no array", `{"requests":{}}`, 400, `requests must be an array of objects`},
		{"twice", `{"requests":[{}],"requests":[{}]}`, 400, `requests is given twice`},
		{"misspelt", `{"request":[{}]}`, 400, `unknown field "request": did you mean "requests"?`},
		{"not text", `{"requests":[{"key":"a","limit":"3/m"},`, 400, `the body is not valid JSON at byte 40: expected a value`},
		{"no name", `{"requests":[{}],}`, 400, `the body is not valid JSON at byte 18: expected a name in double quotes`},
		{"trailing data", batchOf(1) + "]", 400, `the body is not valid JSON at byte 41: expected nothing after the value`},
		{"trailing data after no object", "7 7", 400, `the body is not valid JSON at byte 3: expected nothing after the value`},
		{"too deep", `{"requests":[{"x":` + deep(14) + `}]}`, 400, `the body nests more than 16 levels deep at byte 32`},
		{"invalid UTF-8", `{"requests":["` + "\xc3" + `"]}`, 400, `the body is not valid UTF-8: send other bytes in the query of a GET`},
		{"too many", batchOf(1001), 413, `more than 1000 requests in one batch: split it; none was carried out`},
		{"too long", batchOf(1) + long, 413, `the body has more than 262144 bytes: send fewer requests in one call`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen []string
			w := serve(newHandler(echo(&seen)), request("/v1/take/batch", tt.body))
			if got := detail(t, w); w.Code != tt.status || got != tt.want {
				t.Errorf("answer = %d %s\nwant     %d %s", w.Code, got, tt.status, tt.want)
			}
			if len(seen) > 0 {
				t.Errorf("%d requests were carried out, want none", len(seen))
			}
		})
	}
}

// TestLongestBody goes up to the bound with a body that is good.
func TestLongestBody(t *testing.T) {
	var seen []string
	body := batchOf(1)
	body += strings.Repeat(" ", httpapi.MaxBody-len(body))
	if w := serve(newHandler(echo(&seen)), request("/v1/take/batch", body)); w.Code != 200 {
		t.Errorf("a body of %d bytes: status %d, want 200", len(body), w.Code)
	}
}

func TestBatchRunsOutOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		inner := echo(&seen)
		h := newHandler(limiterFunc(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
			time.Sleep(3 * time.Second) // of the bubble
			return inner(ctx, req)
		}))
		got := decode[answers](t, serve(h, request("/v1/take/batch", batchOf(4))).Body)
		if want := []string{"0", "1"}; !slices.Equal(seen, want) {
			t.Errorf("carried out %v, want %v", seen, want)
		}
		for i, d := range got.Decisions {
			if late := i >= 2; late != (d.Error != nil) {
				t.Errorf("answer %d: error %v, want one: %v", i, d.Error, late)
			}
		}
		last := got.Decisions[3].Error
		if diff := cmp.Diff("the batch took too long and this request was not carried out: send it again", last.Detail); diff != "" || last.Status != 503 {
			t.Errorf("status %d, detail differs (-want +got):\n%s", last.Status, diff)
		}
	})
}

func TestBatchStopsWhenTheCallerIsGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var seen []string
	inner := echo(&seen)
	h := newHandler(limiterFunc(func(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
		cancel()
		return inner(ctx, req)
	}))
	w := httptest.NewRecorder()
	if v := abort(func() { h.ServeHTTP(w, request("/v1/take/batch", batchOf(4)).WithContext(ctx)) }); v == nil {
		t.Error("the call ended as if it were answered")
	}
	if len(seen) != 1 || w.Body.Len() > 0 {
		t.Errorf("carried out %v and wrote %q, want one and nothing", seen, w.Body)
	}
}

// TestBatchErrorsAreProblems reads an item's error as a problem of its own.
func TestBatchErrorsAreProblems(t *testing.T) {
	h := newHandler(answering(bucketring.Decision{}, errors.New("secret")))
	w := serve(h, request("/v1/take/batch", batchOf(1)))
	type item struct{ Error map[string]any }
	got := decode[struct{ Decisions []item }](t, w.Body).Decisions[0].Error
	want := map[string]any{
		"type": "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity", "title": "Temporary reduced capacity",
		"status": 503.0, "detail": "this call could not be decided: try again in 1 second",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("error differs (-want +got):\n%s", diff)
	}
}
