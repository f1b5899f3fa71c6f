package envoyrls_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
	"github.com/bucketring/bucketring/policy"
)

// TestErrors: what is malformed is refused with the name of the field, and nothing is
// counted.
func TestErrors(t *testing.T) {
	entry := func(n int) string {
		return strings.Repeat(`{"key": "k", "value": "v"}, `, n-1) + `{"key": "k", "value": "v"}`
	}
	descriptor := `{"entries": [` + entry(1) + `]}`
	limit := func(text string) string {
		return `{"domain": "d", "descriptors": [{"entries": [` + entry(1) + `], "limit": {` + text + `}}]}`
	}
	tests := []struct {
		name, request, want string // want is in the message; empty if all is well
	}{
		{"no domain", `{"descriptors": [` + descriptor + `]}`, "domain"},
		{"no descriptors", `{"domain": "d"}`, "descriptors"},
		{"no entries", `{"domain": "d", "descriptors": [` + descriptor + `, {}]}`, "descriptors[1].entries"},
		{"empty key", `{"domain": "d", "descriptors": [{"entries": [{"key": "k"}, {"value": "v"}]}]}`, "descriptors[0].entries[1].key"},
		{"256 descriptors", `{"domain": "d", "descriptors": [` + strings.Repeat(descriptor+", ", 255) + descriptor + `]}`, ""},
		{"257 descriptors", `{"domain": "d", "descriptors": [` + strings.Repeat(descriptor+", ", 256) + descriptor + `]}`, "descriptors has 257"},
		{"64 entries", `{"domain": "d", "descriptors": [{"entries": [` + entry(64) + `]}]}`, ""},
		{"65 entries", `{"domain": "d", "descriptors": [{"entries": [` + entry(65) + `]}]}`, "descriptors[0].entries has 65"},
		{"key of 512 bytes", request(strings.Repeat("k", 512) + "=v"), ""},
		{"key of 513 bytes", request(strings.Repeat("k", 513) + "=v"), "descriptors[0].entries[0].key"},
		{"1 MiB", request("leaf=" + strings.Repeat("v", 1<<20-100)), ""},
		{"more than 1 MiB", request("leaf=" + strings.Repeat("v", 1<<20)), "1048576"},
		{"no unit", limit(`"requestsPerUnit": 1`), "descriptors[0].limit.unit"},
		{"unit UNKNOWN", limit(`"requestsPerUnit": 1, "unit": "UNKNOWN"`), "descriptors[0].limit.unit"},
		{"a week", limit(`"requestsPerUnit": 1, "unit": 7`), "descriptors[0].limit.unit"},
		{"a negative unit", limit(`"requestsPerUnit": 1, "unit": -1`), "descriptors[0].limit.unit"},
		{"no multiplier", limit(`"requestsPerUnit": 1, "unit": "YEAR", "unitMultiplier": 0`), "descriptors[0].limit.unit_multiplier"},
		{"the largest multiplier", limit(`"requestsPerUnit": 1, "unit": "YEAR", "unitMultiplier": 4294967295`), ""},
	}
	for _, text := range []string{domain, onePolicy} {
		d := open(t, envoyrls.Settings{}, text)
		if text == onePolicy {
			d = open(t, envoyrls.Settings{}, strings.Replace(text, "namespace: shop", "namespace: d", 1))
		}
		refused := uint64(0)
		for _, tt := range tests {
			_, err := d.try(tt.request)
			switch s := status.Convert(err); {
			case tt.want == "" && err != nil:
				t.Errorf("%s: %v, want an answer", tt.name, err)
			case tt.want != "" && (s.Code() != codes.InvalidArgument || !strings.Contains(s.Message(), tt.want)):
				t.Errorf("%s: %v, want INVALID_ARGUMENT with %s", tt.name, err, tt.want)
			case tt.want != "":
				if refused++; len(d.takes()) > 0 {
					t.Errorf("%s: something was counted", tt.name)
				}
			default:
				d.takes()
			}
		}
		if s := d.Stats(); s.Invalid != refused || s.Calls != uint64(len(tests)) {
			t.Errorf("Stats = %+v, want %d of %d calls invalid", s, refused, len(tests))
		}
	}
}

func TestUnknownDomain(t *testing.T) {
	d := open(t, envoyrls.Settings{}, domain)
	d.expect(strings.Replace(request("a=b c=d"), `"d"`, `"other"`, 1), "ok | ok | ok")
	if s := d.Stats(); s.UnknownDomains != 1 || len(d.takes()) != 0 {
		t.Errorf("Stats = %+v, want one unknown domain and nothing counted", s)
	}
	d.set = nil
	if _, err := d.try(request("leaf=a")); status.Code(err) != codes.Unavailable {
		t.Errorf("without any policy: %v, want UNAVAILABLE", err)
	}
}

// TestOwnerAway: where an owner does not answer, this node's share of the limit decides, in
// a millisecond.
func TestOwnerAway(t *testing.T) {
	for name, fail := range map[string]func(context.Context, *bucketring.Request) error{
		"silent": hang, "away": func(context.Context, *bucketring.Request) error { return bucketring.ErrUnavailable },
		"old": func(context.Context, *bucketring.Request) error { return bucketring.Invalidf("unknown step") },
	} {
		for _, settings := range []envoyrls.Settings{{}, {AllOrNothing: true}} {
			d := open(t, settings, domain)
			d.Prompt()
			d.fail = func(ctx context.Context, req *bucketring.Request) error {
				if req.Verb == bucketring.VerbStep {
					return fail(ctx, req)
				}
				return nil
			}
			d.expect(request("leaf=a"), "ok | ok 2/3")
			d.expect(request("leaf=a leaf=b"), "ok | ok 1/3 | ok 2/3")
			d.expect(request("leaf=a+0"), "ok | ok 1/3")
			d.expect(request("leaf=a"), "ok | ok 0/3")
			d.expect(request("leaf=a"), "over | over 0/3")
			d.expect(request("leaf=a-1"), "ok | ok 0/3") // lost
			resp := d.ask(request("minute=a"))
			if left := resp.GetStatuses()[0].GetDurationUntilReset().GetSeconds(); left < 1 || left > 60 {
				t.Errorf("%s: %d s are left of a minute", name, left)
			}
			for _, s := range d.takes() {
				switch {
				case s.req.Verb == bucketring.VerbStep:
				case s.left > time.Millisecond:
					t.Errorf("%s: the share may take %v, want up to 1 ms", name, s.left)
				case s.req.Limits[0].Unavailable != bucketring.UnavailableLocal || s.req.Limits[0].Accuracy != bucketring.Strict:
					t.Errorf("%s: the share has the limit %+v", name, s.req.Limits[0])
				}
			}
			if n := d.Stats().Degraded; n < 7 {
				t.Errorf("%s: %d descriptors were degraded, want 7 or more", name, n)
			}
		}
	}
}

// TestAtTheSameTime: counters of one call are asked at the same time, equal ones in turn.
func TestAtTheSameTime(t *testing.T) {
	for _, text := range []string{domain, strings.Replace(onePolicy, "charge: all_or_nothing", "charge: each", 1)} {
		d := open(t, envoyrls.Settings{}, text)
		together := make(chan struct{})
		waiting, mu := 0, sync.Mutex{}
		d.fail = func(ctx context.Context, _ *bucketring.Request) error {
			mu.Lock()
			if waiting++; waiting == 3 {
				close(together)
			}
			mu.Unlock()
			select {
			case <-together:
				return nil
			case <-ctx.Done():
				return errors.New("the others did not come")
			}
		}
		r := request("leaf=a leaf=b user=c user=c")
		if text != domain {
			r = strings.Replace(r, `"d"`, `"shop"`, 1)
		} else {
			r = request("leaf=a leaf=b hour=c hour=c")
		}
		if _, err := d.try(r); err != nil || d.Stats().Degraded != 0 {
			t.Errorf("a call with three counters: %v, %+v", err, d.Stats())
		}
	}
}

// TestPanic: a panic costs one call, and is counted, wherever it is.
func TestPanic(t *testing.T) {
	for _, text := range []string{domain, strings.Replace(onePolicy, "namespace: shop", "namespace: d", 1)} {
		for _, descriptors := range []string{"leaf=a", "leaf=a leaf=b"} {
			d := open(t, envoyrls.Settings{}, text)
			d.fail = func(context.Context, *bucketring.Request) error { panic("limiter") }
			if _, err := d.try(request(descriptors)); status.Code(err) != codes.Internal {
				t.Errorf("%s: %v, want INTERNAL", descriptors, err)
			}
			if n := d.Stats().Panics; n < 1 || n > 2 {
				t.Errorf("%d panics were counted", n)
			}
			d.fail = nil
			d.ask(request(descriptors))
		}
	}
	s := envoyrls.New(envoyrls.Config{Limiter: newCounters(), Policies: func() *policy.Set { panic("policies") }})
	req := parseRequest(t, request("leaf=a"))
	if _, err := s.ShouldRateLimit(context.Background(), req); status.Code(err) != codes.Internal || s.Stats().Panics != 1 {
		t.Errorf("ShouldRateLimit = %v, %+v, want INTERNAL and one panic", err, s.Stats())
	}
}

// TestNoRoom: an owner that can keep no further counter is as good as away.
func TestNoRoom(t *testing.T) {
	s := envoyrls.New(envoyrls.Config{Policies: func() *policy.Set { return domainSet(t) }, Limiter: full{newCounters()}})
	req := parseRequest(t, request("leaf=a"))
	resp, err := s.ShouldRateLimit(context.Background(), req)
	if err != nil || brief(resp) != "ok | ok 2/3" || s.Stats().Degraded != 1 {
		t.Errorf("ShouldRateLimit = %v, %v, want an answer of this node's share", resp, err)
	}
}

// full has no room for registers.
type full struct{ *counters }

func (f full) Take(ctx context.Context, req bucketring.Request) (bucketring.Decision, error) {
	if req.Verb == bucketring.VerbStep {
		return bucketring.Decision{}, nil
	}
	return f.counters.Take(ctx, req)
}

func domainSet(t testing.TB) *policy.Set {
	p, err := policy.Parse("d.yaml", []byte(domain), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return (*policy.Set)(nil).WithPolicy(p)
}

func TestSwitch(t *testing.T) {
	for text, want := range map[string]envoyrls.Switch{"": envoyrls.Auto, "auto": envoyrls.Auto, "on": envoyrls.On, "true": envoyrls.On, "off": envoyrls.Off, "false": envoyrls.Off} {
		got, err := envoyrls.ParseSwitch(text)
		if again, err2 := envoyrls.ParseSwitch(got.String()); err != nil || err2 != nil || got != want || again != want {
			t.Errorf("ParseSwitch(%q) = %v, %v", text, got, err)
		}
	}
	if _, err := envoyrls.ParseSwitch("yes"); err == nil {
		t.Error(`ParseSwitch("yes") = nil, want an error`)
	}
	_ = fmt.Sprint(envoyrls.Switch(9)) // does not panic
}
