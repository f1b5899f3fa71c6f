package main

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/perf/benchfmt"
	"golang.org/x/perf/benchmath"
)

// A measured is one figure of one benchmark: all its runs.
type measured struct{ benchmark, unit string }

// runs are the figures of a file.
type runs struct {
	order  []string // benchmarks, as they came
	values map[measured][]float64
}

func (r *runs) add(line *benchfmt.Result) {
	if r.values == nil {
		r.values = map[measured][]float64{}
	}
	name := strings.TrimSuffix(string(line.Name.Full()), string(processors(line.Name)))
	if !slices.Contains(r.order, name) {
		r.order = append(r.order, name)
	}
	for _, v := range line.Values {
		value, unit := v.Value, v.Unit
		if v.OrigUnit != "" {
			value, unit = v.OrigValue, v.OrigUnit
		}
		r.values[measured{name, unit}] = append(r.values[measured{name, unit}], value)
	}
}

// processors is the end of a name that tells their number.
func processors(name benchfmt.Name) []byte {
	_, parts := name.Parts()
	if n := len(parts); n > 0 && strings.HasPrefix(string(parts[n-1]), "-") {
		return parts[n-1]
	}
	return nil
}

// median returns the middle of a figure's runs and its spread in percent of it; ok is
// false if there is no such figure.
func (r *runs) median(benchmark, unit string) (middle, spread float64, ok bool) {
	values := r.values[measured{benchmark, unit}]
	if len(values) == 0 {
		return 0, 0, false
	}
	sample := benchmath.NewSample(values, &benchmath.DefaultThresholds)
	middle = benchmath.AssumeNothing.Summary(sample, 0.95).Center
	if middle != 0 {
		spread = 50 * (slices.Max(values) - slices.Min(values)) / middle
	}
	return middle, spread, true
}

// A table has the benchmarks of one family.
type table struct {
	Family string
	Units  []string
	Rows   []row
	Priced bool // some rows have a price
}

type row struct {
	Name  string
	Cells []string // by unit
	Floor string   // how many times its floor it takes; empty if there is none
	Price string   // of a million decisions, in US cents; likewise
}

// columns are the units worth a column, in this order. Others are not shown.
var columns = []string{
	"ns/op", "decisions/s", "cpu-ns/decision", "server-cpu-ns/decision", "p50-us", "p99-us", "p99.9-us",
	"bytes/key", "worst-pause-ms", "local-%", "lent-%", "remembered-%", "core-%/node",
	"B/op", "allocs/op", "refused/op", "over-admitted", "over-%", "burst-excess-%",
}

// serverTime is the processor time of all servers, and coreHour what an hour of a
// processor costs, in USD: about what clouds ask.
const (
	serverTime = "server-cpu-ns/decision"
	coreHour   = 0.04
)

// price is what a million decisions cost in processor time of servers; empty where that was
// not measured.
func (r *runs) price(benchmark string) string {
	ns, _, ok := r.median(benchmark, serverTime)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.3g", ns/1e9/3600*1e6*coreHour*100)
}

// tables makes one table for each family, in the order in which they came.
func (r *runs) tables() []table {
	var all []table
	for _, name := range r.order {
		family, rest, _ := strings.Cut(name, "/")
		i := slices.IndexFunc(all, func(t table) bool { return t.Family == family })
		if i < 0 {
			i = len(all)
			all = append(all, table{Family: family})
		}
		all[i].Rows = append(all[i].Rows, row{Name: rest})
	}
	for i := range all {
		r.fill(&all[i])
	}
	return all
}

func (r *runs) fill(t *table) {
	full := func(i int) string { return strings.TrimSuffix(t.Family+"/"+t.Rows[i].Name, "/") }
	for _, unit := range columns {
		for i := range t.Rows {
			if _, _, ok := r.median(full(i), unit); ok {
				t.Units = append(t.Units, unit)
				break
			}
		}
	}
	for i := range t.Rows {
		for _, unit := range t.Units {
			cell := ""
			if middle, spread, ok := r.median(full(i), unit); ok {
				cell = fmt.Sprintf("%.4g ± %.0f %%", middle, spread)
			}
			t.Rows[i].Cells = append(t.Rows[i].Cells, cell)
		}
		t.Rows[i].Floor, t.Rows[i].Price = r.floor(full(i)), r.price(full(i))
		t.Priced = t.Priced || t.Rows[i].Price != ""
	}
}

// floors are what no limiter can undercut, for the ways on which it is asked: the figure
// to compare, and the floor's benchmark, which may depend on the number of callers.
var floors = []struct{ path, unit, floor string }{
	{"path=owned", "ns/op", "Floor/kind=clock+swap"},
	{"path=allow", "ns/op", "Floor/kind=clock+swap"},
	{"path=prepared", "ns/op", "Floor/kind=clock+swap"},
	{"path=public", "cpu-ns/decision", "Floor/kind=grpc/callers=%s"},
	{"path=stream", "cpu-ns/decision", "Floor/kind=grpc/callers=%s"},
	{"path=forwarded", "cpu-ns/decision", "Floor/kind=grpc/callers=%s"},
	{"limiter=bucketring_stream", serverTime, bareEcho},
	{"limiter=bucketring_unary", serverTime, bareEcho},
	{"limiter=bucketring_batch", serverTime, bareEcho},
	{"limiter=bucketring_3_nodes_stream", serverTime, bareEcho},
	{"limiter=bucketring_3_nodes_unary", serverTime, bareEcho},
	{"limiter=bucketring_3_nodes_stream_any", serverTime, bareEcho},
	{"limiter=bucketring_3_nodes_unary_any", serverTime, bareEcho},
	{"limiter=bucketring_http", serverTime, "Remote/keys=uniform/callers=64/batch=1/limiter=floor_http"},
	{"limiter=bucketring_resp", serverTime, "Remote/keys=uniform/callers=64/batch=1/limiter=redis_rate"},
}

// bareEcho is a gRPC server that only answers.
const bareEcho = "Remote/keys=uniform/callers=64/batch=1/limiter=floor_grpc"

// floor says how many times its floor a benchmark takes.
func (r *runs) floor(benchmark string) string {
	parts := strings.Split(benchmark, "/")
	for _, f := range floors {
		_, _, decides := r.median(benchmark, "decisions/s")
		if parts[0] == "Floor" || !decides || !slices.Contains(parts, f.path) {
			continue
		}
		name := f.floor
		if strings.Contains(name, "%s") {
			name = fmt.Sprintf(name, part(parts, "callers="))
		}
		own, _, ok1 := r.median(benchmark, f.unit)
		least, _, ok2 := r.median(name, f.unit)
		if ok1 && ok2 && least > 0 {
			return fmt.Sprintf("%.3g", own/least)
		}
	}
	return ""
}

// part returns the value of a part of a name.
func part(parts []string, key string) string {
	for _, p := range parts {
		if value, ok := strings.CutPrefix(p, key); ok {
			return value
		}
	}
	return ""
}
