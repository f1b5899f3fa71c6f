// script_test.go runs the time scripts in testdata: short stories about one
// counter, with the answers that they had when somebody last read them.
//
//	# a comment
//	start 1640995200                the Unix second that is 0s, for windows
//	limit 10/m burst=20             as Limit writes it; again for another amount
//	at 1.5s take 2 -> allowed remaining=18 reset=3s retry=0s
//	at 1.5s take 1 x500 every 10ms -> 17 of 500 allowed; denied remaining=0 ...
//	at 2s sweep -> 0
//
// The verbs are take, peek, refund and reset. Rewrite what is behind the arrows
// with -update, and read the diff.

package bucket_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/bucket"
)

var update = flag.Bool("update", false, "rewrite the answers in testdata")

func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("Glob = %v, %v, want some scripts", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(file, "testdata/"), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runScript(t, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(string(text), got); diff != "" && !*update {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// A script is the state of a run. Its monotonic clock shows an hour at 0s, so
// that there is room for going back.
type script struct {
	table *bucket.Table
	limit bucketring.Limit
	start time.Duration // Unix time of 0s
}

// runScript returns the script with the answers of this build.
func runScript(t *testing.T, text string) string {
	s := &script{table: bucket.New(bucket.Config{})}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		answer, err := s.line(line)
		if err != nil {
			t.Fatalf("line %d, %q: %v", i+1, line, err)
		}
		if answer != "" {
			call, _, _ := strings.Cut(line, "->")
			lines[i] = strings.TrimRight(call, " ") + " -> " + answer
		}
	}
	return strings.Join(lines, "\n")
}

// line carries out one line and returns what stands behind its arrow.
func (s *script) line(line string) (answer string, err error) {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "", "#":
		return "", nil
	case "start":
		seconds, err := strconv.Atoi(rest)
		s.start = time.Duration(seconds) * time.Second
		return "", err
	case "limit":
		s.limit, err = parseLimit(rest)
		return "", err
	case "at":
		call, _, _ := strings.Cut(rest, "->")
		return s.at(strings.Fields(call))
	}
	return "", fmt.Errorf("unknown word %q", word)
}

// parseLimit is Parse with the align option, which policies have.
func parseLimit(text string) (bucketring.Limit, error) {
	text, first := strings.CutSuffix(text, " align=first_request")
	limits, err := bucketring.Parse(text)
	if err != nil {
		return bucketring.Limit{}, err
	}
	if first {
		limits[0].Align = bucketring.AlignFirstRequest
	}
	return limits[0], limits[0].Validate()
}

// at reads "1.5s take 2 x500 every 10ms", everything behind the verb optional.
func (s *script) at(fields []string) (string, error) {
	at, err := time.ParseDuration(fields[0])
	if err != nil {
		return "", err
	}
	verb, n, times, every, known := bucketring.VerbTake, int64(0), 0, time.Duration(0), fields[1] == "sweep"
	for v := range bucketring.VerbReset + 1 {
		if v.String() == fields[1] {
			verb, known = v, true
		}
	}
	if !known {
		return "", fmt.Errorf("unknown verb %q", fields[1])
	}
	for i := 2; i < len(fields) && err == nil; i++ {
		switch {
		case strings.HasPrefix(fields[i], "x"):
			times, err = strconv.Atoi(fields[i][1:])
		case fields[i] == "every":
			i++
			every, err = time.ParseDuration(fields[i])
		default:
			n, err = strconv.ParseInt(fields[i], 10, 64)
		}
	}
	if err != nil || fields[1] == "sweep" {
		return strconv.Itoa(s.table.Sweep(s.now(at), 1)), err
	}
	return s.calls(verb, n, at, times, every), nil
}

// calls makes one call, or a number of them with a count.
func (s *script) calls(verb bucketring.Verb, n int64, at time.Duration, times int, every time.Duration) string {
	allowed, last := 0, ""
	for i := range max(times, 1) {
		res := s.table.Do(verb, bucket.Counter{Key: "k", Limit: &s.limit}, s.now(at+time.Duration(i)*every), n)
		last = describe(res)
		if res.Allowed {
			allowed++
		}
	}
	if times == 0 {
		return last
	}
	return fmt.Sprintf("%d of %d allowed; %s", allowed, times, last)
}

func (s *script) now(at time.Duration) bucket.Now {
	return bucket.Now{Mono: int64(time.Hour + at), Wall: int64(s.start + at)}
}

func describe(res bucket.Result) string {
	verdict, retry := "denied", res.Retry.String()
	if res.Allowed {
		verdict = "allowed"
	}
	if res.Retry == bucketring.Never {
		retry = "never"
	}
	return fmt.Sprintf("%s remaining=%d reset=%v retry=%s", verdict, res.Remaining, res.Reset, retry)
}
