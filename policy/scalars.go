// scalars.go reads single values: names, numbers, amounts, windows, times. All
// numbers are exact; nothing here is a float.

package policy

import (
	"maps"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/bucketring/bucketring"
)

// A form is a way to write a scalar.
type form struct {
	tag     string // of YAML, such as !!int; empty for any
	pattern *regexp.Regexp
	most    int                 // bytes; 0 if the pattern says
	what    string              // it must be, for people
	parse   func(string) string // says what else is wrong, or nothing
}

var anyText = regexp.MustCompile(`^(?s).+$`)

var forms = map[string]form{
	"string":    {tag: "!!str", pattern: anyText, most: 512, what: "a text of 1 to 512 bytes"},
	"value":     {pattern: anyText, most: 512, what: "a text of 1 to 512 bytes"},
	"test":      {pattern: anyText, most: 8192, what: "a value, present, absent, or alternatives such as a|b", parse: checkTest},
	"bool":      {tag: "!!bool", pattern: regexp.MustCompile(`^(true|false)$`), what: "true or false"},
	"int":       {tag: "!!int", pattern: regexp.MustCompile(`^(0|[1-9][0-9]{0,9})$`), what: "a whole number"},
	"namespace": {tag: "!!str", pattern: regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`), what: "a name of up to 63 lower case letters, digits, - and _"},
	"name":      {tag: "!!str", pattern: regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`), what: "a name of up to 63 lower case letters, digits and -"},
	"attribute": {tag: "!!str", pattern: regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,62}$`), what: "the name of an attribute: a letter or _, then letters, digits, _, . and -"},
	"table":     {tag: "!!str", pattern: regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`), what: "a name of up to 63 letters, digits, _, . and -"},
	"body":      {tag: "!!str", pattern: regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$`), what: "a name of up to 63 letters, digits, _, . and -"},
	"unit":      {tag: "!!str", pattern: regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,62}$`), what: "a word of letters, digits, _, . and -"},
	"header":    {tag: "!!str", pattern: regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"), what: "the name of a header, such as X-Api-Key"},
	"scheme":    {tag: "!!str", pattern: regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$"), what: "one word, such as Bearer"},
	"method":    {tag: "!!str", pattern: regexp.MustCompile(`^[A-Z][A-Z_-]{0,30}$`), what: "a method in upper case, such as GET"},
	"route":     {tag: "!!str", pattern: regexp.MustCompile(`^[A-Z][A-Z_-]{0,30} /[^ *?#]*$`), most: 1000, what: "a method and a path, such as GET /v1/usage"},
	"reason":    {tag: "!!str", pattern: regexp.MustCompile(`^(?s).*$`), what: "a text", parse: checkReason},
	"glob":      {tag: "!!str", pattern: anyText, most: 1000, what: "a path such as /v1/*/dubs/**", parse: checkGlob},
	"pathparam": {tag: "!!str", pattern: anyText, most: 1000, what: "a path with a segment in braces, such as /v1/dubs/{id}/**", parse: checkPathParam},
	"cidr":      {tag: "!!str", pattern: anyText, most: 100, what: "a network such as 10.0.0.0/8", parse: checkCIDR},
	"zone":      {tag: "!!str", pattern: regexp.MustCompile(`^[A-Za-z0-9/_+-]{1,64}$`), what: "an IANA time zone such as Europe/Berlin", parse: checkZone},
	"time":      {pattern: regexp.MustCompile(`^\S+$`), what: "a time such as 2026-12-31T23:59:59Z or 2026-12-31T23:59:59+01:00", parse: checkTime},
	"window":    {pattern: regexp.MustCompile(`^([0-9]+[smhdw]|1month|1y)$`), what: "a window such as 30s, 1m, 12h, 1d, 2w, 1month or 1y", parse: checkWindow},
	"duration":  {pattern: regexp.MustCompile(`^[0-9]+[smhd]$`), what: "a duration such as 60s, 15m, 24h or 7d", parse: checkWindow},
	"percent":   {pattern: regexp.MustCompile(`^(100|[1-9]?[0-9](\.[0-9]{1,6})?)%$`), what: "a percentage such as 5%"},
	"free":      {pattern: anyText, most: 8192, what: "a text of 1 to 8192 bytes"},
	"u32":       {tag: "!!int", pattern: anyText, most: 64, what: "a whole number", parse: checkU32},
	"truth":     {pattern: regexp.MustCompile(`^(?i:true|false|yes|no|on|off|y|n)$`), what: "true or false"},
	"amount":    {pattern: regexp.MustCompile(`^[^A-Za-z_ ]`), what: "an amount such as 25MB", parse: checkAmount},
}

// fits reports whether a scalar is written in a form, its own checks apart.
func (d *decoder) fits(n *yaml.Node, f form) bool {
	if n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null" || f.tag != "" && n.ShortTag() != f.tag {
		return false
	}
	return f.pattern.MatchString(n.Value) && (f.most == 0 || len(n.Value) <= f.most)
}

// scalar checks one value against the tags of its field.
func (d *decoder) scalar(n *yaml.Node, f *field, at *place) {
	if d.bad[n] {
		return
	}
	isScalar := n.Kind == yaml.ScalarNode && n.ShortTag() != "!!null"
	if isScalar && slices.Contains(f.words, n.Value) {
		return
	}
	if f.form == "" {
		d.fail(n, "%s must be %s, found %s%s", at.of(f.key), oneOf(f.words), describe(n), near(n.Value, f.words))
		return
	}
	kind := forms[f.form]
	if !d.fits(n, kind) {
		what, hint := kind.what, ""
		if len(f.words) > 0 {
			what = oneOf(append([]string{what}, f.words...))
			hint = near(n.Value, f.words)
		}
		if isScalar && kind.tag == "!!str" && n.ShortTag() != "!!str" && kind.pattern.MatchString(n.Value) {
			hint = ": put it in quotes"
		}
		d.fail(n, "%s must be %s, found %s%s", at.of(f.key), what, describe(n), hint)
		return
	}
	if kind.parse != nil {
		if wrong := kind.parse(n.Value); wrong != "" {
			d.fail(n, "%s: %s", at.of(f.key), wrong)
			return
		}
	}
	if number, err := strconv.Atoi(n.Value); f.form == "int" && (err != nil || number < f.least || number > f.most) {
		d.fail(n, "%s must be %d to %d, found %s", at.of(f.key), f.least, f.most, n.Value)
	}
}

// maxReason is how much of a reason a WebSocket's close frame carries, in bytes.
const maxReason = 123

func checkReason(text string) string {
	if len(text) > maxReason {
		return "it has " + strconv.Itoa(len(text)) + " bytes, a close frame carries at most " + strconv.Itoa(maxReason)
	}
	return ""
}

func wrong(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func checkGlob(text string) string {
	_, err := compileGlob(text)
	return wrong(err)
}

func checkPathParam(text string) string {
	_, err := compilePathParam(text)
	return wrong(err)
}

func checkCIDR(text string) string {
	if _, err := netip.ParsePrefix(text); err == nil {
		return ""
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		return strconv.Quote(text) + " is one address: write " + strconv.Quote(text+"/"+strconv.Itoa(addr.BitLen()))
	}
	return word(text) + " is no network: write one such as 10.0.0.0/8 or fd00::/8"
}

func checkZone(text string) string {
	l := bucketring.Limit{Zone: text}
	if _, err := l.Location(); err != nil {
		return "unknown time zone " + word(text) + ": use an IANA name such as Europe/Berlin"
	}
	return ""
}

func checkTime(text string) string {
	if _, err := time.Parse(time.RFC3339, text); err != nil {
		return word(text) + " is no time with a date and an offset: write one such as 2026-12-31T23:59:59Z or 2026-12-31T23:59:59+01:00"
	}
	return ""
}

var windowUnits = map[byte]time.Duration{
	's': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour,
}

func checkWindow(text string) string {
	_, wrong := parseWindow(text)
	return wrong
}

// parseWindow reads a window or a duration that has its form.
func parseWindow(text string) (per time.Duration, wrong string) {
	switch text {
	case "1month":
		return bucketring.Month, ""
	case "1y":
		return bucketring.Year, ""
	}
	digits, unit := text[:len(text)-1], windowUnits[text[len(text)-1]]
	count, err := strconv.ParseInt(digits, 10, 64)
	switch {
	case strings.Trim(digits, "0") == "":
		return 0, "it must be at least 1s, found " + word(text)
	case digits[0] == '0':
		return 0, word(text) + " has a leading zero"
	case err != nil || count > int64(bucketring.MaxPer/unit):
		return 0, "it can be at most 366d, found " + word(text)
	}
	return time.Duration(count) * unit, ""
}

// durationOf reads a duration that was checked; 0 if it is absent or bad.
func durationOf(t text) time.Duration {
	if !t.set() || !forms["window"].pattern.MatchString(t.Value) {
		return 0
	}
	per, _ := parseWindow(t.Value)
	return per
}

var sizeSuffixes = map[string]int64{
	"": 1, "kB": 1e3, "KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15,
	"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50,
}

var amountPattern = regexp.MustCompile(`^(0|[1-9][0-9]{0,39})(?:\.([0-9]{1,40}))?([A-Za-z]*)$`)

// checkAmount checks all but the number of decimals, which depends on the limit.
func checkAmount(text string) string {
	parts := amountPattern.FindStringSubmatch(text)
	if parts == nil {
		if strings.HasPrefix(text, "-") {
			return shorten(text, maxQuoted) + " is negative: the least is 0"
		}
		return word(text) + " is no amount: write digits, at most one point, and a size such as MB if need be"
	}
	if _, ok := sizeSuffixes[parts[3]]; !ok {
		return "unknown size " + word(parts[3]) + near(parts[3], slices.Sorted(maps.Keys(sizeSuffixes)))
	}
	return ""
}

// parseAmount reads an amount that checkAmount found good, in 10^-precision.
func parseAmount(text string, precision uint8) (amount int64, wrong string) {
	parts := amountPattern.FindStringSubmatch(text)
	if parts == nil {
		return 0, word(text) + " is no amount"
	}
	n, _ := new(big.Int).SetString(parts[1]+parts[2], 10)
	n.Mul(n, big.NewInt(sizeSuffixes[parts[3]]))
	n.Mul(n, powerOfTen(int(precision)))
	n, rest := n.QuoRem(n, powerOfTen(len(parts[2])), new(big.Int))
	switch {
	case rest.Sign() != 0 && precision == 0:
		return 0, text + " is not a whole number: give the limit a precision to keep decimals"
	case rest.Sign() != 0:
		return 0, text + " has more decimals than the precision of " + strconv.Itoa(int(precision)) + " keeps"
	case !n.IsInt64():
		return 0, text + " is too large: with a precision of " + strconv.Itoa(int(precision)) + " it must fit 2^63-1"
	}
	return n.Int64(), ""
}

func powerOfTen(n int) *big.Int {
	return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil)
}
