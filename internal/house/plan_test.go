// plan_test.go is the floor plan: who may import whom.

package house_test

import (
	"path"
	"slices"
	"strings"
)

const module = "github.com/bucketring/bucketring"

// A room is one row of the plan. Lists are separated by blanks; "." is the root
// package.
type room struct {
	floor   int
	ours    string // packages of ours that it may import
	modules string // keys of modules
}

const anything = "anything but bench"

// plan has one row for each package, also for those still to come.
var plan = map[string]room{
	".":                         {1, "", ""},
	"ring":                      {1, "", "consistent xxhash"},
	"ring/handover":             {1, "ring", ""},
	"transport/limitpb":         {1, "", "grpc protobuf"},
	"transport/peerpb":          {1, "", "grpc protobuf"},
	"cluster/clustertest":       {1, "", "memberlist"},
	"internal/ratefield":        {1, "", ""},
	"internal/frametest":        {1, "", ""},
	"internal/workload":         {2, ".", "hdrhistogram x/time"},
	"bucket":                    {2, ".", "x/sys/cpu"},
	"policy":                    {2, ". internal/ratefield", "yaml fsnotify"},
	"cluster":                   {2, "ring", "memberlist go-sockaddr"},
	"transport":                 {2, ". transport/limitpb transport/peerpb", "grpc protobuf advancedtls"},
	"node":                      {3, ". bucket policy ring ring/handover transport/peerpb", ""},
	"node/member":               {4, ". cluster node policy ring transport transport/peerpb", ""},
	"internal/httpapi":          {4, ". policy internal/ratefield", ""},
	"internal/envoyrls":         {4, ". policy internal/ratefield internal/envoyrls/rlspb", "grpc protobuf"},
	"internal/envoyrls/rlspb":   {1, "", "grpc protobuf"},
	"internal/resp":             {4, ".", ""},
	"internal/gubernatorapi":    {4, ". internal/gubernatorapi/pb", "grpc protobuf"},
	"internal/gubernatorapi/pb": {1, "", "grpc protobuf"},
	"internal/console":          {4, "", "go-chart"},
	"internal/metrics":          {4, "bucket cluster node policy transport", "client_golang go-metrics"},
	"internal/store":            {4, ". node", ""},
	"internal/policytest":       {4, ". node policy ring internal/ratefield", "yaml"},
	"internal/access":           {2, ".", "yaml"},
	"internal/house":            {4, "", ""},
	"internal/proctest":         {6, ". client internal/envoyrls/rlspb", "grpc"},                                      // it asks as Envoy and Go programs do
	"internal/doortest":         {5, ". node/member transport/limitpb internal/envoyrls/rlspb", "grpc protobuf yaml"}, // what strangers have in their hands
	"client":                    {5, ". bucket policy ring transport", "grpc protobuf"},                               // no module beside those of the rooms below
	"client/httplimit":          {5, ". client internal/ratefield", ""},                                               // client renews leases while a handler runs
	"client/grpclimit":          {5, ". client internal/ratefield", "grpc protobuf errdetails"},
	"bench":                     {5, ". bucket node policy ring transport transport/limitpb internal/workload", "grpc"},
	"cmd/bucketring": {6, anything,
		"cobra pflag koanf exporter-toolkit otel systemd terminal x/sync x/sys/unix automemlimit grpc memberlist"},
}

// modules are the paths that one word of the plan stands for. The longest that
// fits an import counts, so advancedtls is not grpc.
var modules = map[string]string{
	"consistent":       "github.com/buraksezer/consistent",
	"xxhash":           "github.com/cespare/xxhash/v2",
	"x/sys/cpu":        "golang.org/x/sys/cpu",
	"x/sys/unix":       "golang.org/x/sys/unix",
	"x/time":           "golang.org/x/time",
	"x/sync":           "golang.org/x/sync",
	"yaml":             "go.yaml.in/yaml/v3",
	"fsnotify":         "github.com/fsnotify/fsnotify",
	"memberlist":       "github.com/hashicorp/memberlist",
	"go-sockaddr":      "github.com/hashicorp/go-sockaddr",
	"go-metrics":       "github.com/hashicorp/go-metrics",
	"grpc":             "google.golang.org/grpc",
	"advancedtls":      "google.golang.org/grpc/security/advancedtls",
	"protobuf":         "google.golang.org/protobuf",
	"errdetails":       "google.golang.org/genproto/googleapis/rpc/errdetails", // RetryInfo, which gRPC clients know
	"go-chart":         "github.com/wcharczuk/go-chart/v2",
	"client_golang":    "github.com/prometheus/client_golang",
	"hdrhistogram":     "github.com/HdrHistogram/hdrhistogram-go",
	"cobra":            "github.com/spf13/cobra",
	"pflag":            "github.com/spf13/pflag",
	"koanf":            "github.com/knadh/koanf",
	"exporter-toolkit": "github.com/prometheus/exporter-toolkit",
	"otel":             "go.opentelemetry.io",
	"systemd":          "github.com/coreos/go-systemd/v22",
	"automemlimit":     "github.com/KimMachineGun/automemlimit",
	"terminal":         "charm.land github.com/guptarohit/asciigraph",
	"go-cmp":           "github.com/google/go-cmp",
	"rapid":            "pgregory.net/rapid",
	"porcupine":        "github.com/anishathalye/porcupine",
	"testscript":       "github.com/rogpeppe/go-internal",
	"jsonschema":       "github.com/santhosh-tekuri/jsonschema",
}

// Tests of every package may import these too, and their own package.
const (
	testModules = "go-cmp rapid porcupine testscript x/sync jsonschema"
	testOurs    = ". cluster/clustertest internal/frametest internal/workload"
)

// testRooms may also be imported by the tests and examples of a package: those of callers
// show and ask a whole node.
var testRooms = map[string]string{
	"client":           "node",
	"client/httplimit": "node policy",
	"client/grpclimit": "node policy",
}

// banned modules have their own reason, and no row can allow them.
var banned = map[string]string{
	"gopkg.in/yaml.v3":            "is archived: use go.yaml.in/yaml/v3",
	"github.com/stretchr/testify": "is not for us: compare with go-cmp",
}

const addLine = "; if it must be, add a line to the plan of internal/house and a record to docs/decisions"

// checkImport returns what is wrong if pkg imports path, "" if nothing.
func checkImport(pkg, imported string, test bool) string {
	r, ok := plan[pkg]
	if !ok {
		return "the package " + pkg + " is not in the plan" + addLine
	}
	if first, _, _ := strings.Cut(imported, "/"); !strings.Contains(first, ".") {
		return "" // the standard library
	}
	if imported == module || strings.HasPrefix(imported, module+"/") {
		imported = path.Clean("." + strings.TrimPrefix(imported, module))
		own := test && (imported == pkg || has(testOurs, imported) || has(testRooms[pkg], imported))
		allowed := has(r.ours, imported)
		if r.ours == anything {
			allowed = imported != "bench"
		}
		if own || allowed {
			return ""
		}
		return pkg + " may not import " + imported + addLine
	}
	if reason, ok := banned[imported]; ok {
		return imported + " " + reason
	}
	word := moduleOf(imported)
	if word != "" && (has(r.modules, word) || test && has(testModules, word)) {
		return ""
	}
	return pkg + " may not import " + imported + addLine
}

// moduleOf returns the plan's word for an import, "" if it has none.
func moduleOf(imported string) string {
	best, length := "", 0
	for word, paths := range modules {
		for p := range strings.FieldsSeq(paths) {
			if (imported == p || strings.HasPrefix(imported, p+"/")) && len(p) > length {
				best, length = word, len(p)
			}
		}
	}
	return best
}

func has(list, word string) bool { return slices.Contains(strings.Fields(list), word) }

// checkPlan returns what is wrong with the plan itself: arrows that do not go
// down, and words that stand for nothing. A room may stand on its own folder's
// parent, as ring/handover does.
func checkPlan(plan map[string]room) (wrong []string) {
	for pkg, r := range plan {
		for word := range strings.FieldsSeq(r.modules) {
			if modules[word] == "" {
				wrong = append(wrong, pkg+" has the unknown module "+word)
			}
		}
		if r.ours == anything {
			continue
		}
		for below := range strings.FieldsSeq(r.ours) {
			if b, ok := plan[below]; !ok {
				wrong = append(wrong, pkg+" imports "+below+", which is not in the plan")
			} else if b.floor >= r.floor && path.Dir(pkg) != below {
				wrong = append(wrong, pkg+" imports "+below+", which is not below it")
			}
		}
	}
	return wrong
}
