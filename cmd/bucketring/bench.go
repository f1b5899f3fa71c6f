// bench.go sends a steady load to nodes and shows how they bear it.

package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/workload"
)

// A benchConfig is what the flags of bench say.
type benchConfig struct {
	door               string
	addrs              []string
	rate               float64
	callers, keys      int
	warmUp, duration   time.Duration
	zipf               float64
	limit              string
	unary              bool
	credentials        credentials
	hgrm               string
	p50, p99, p999     time.Duration // targets; 0 is none
	answered, degraded float64       // targets: shares of the rate, and of the answers; below 0 is none
}

func benchCommand() *cobra.Command {
	var cfg benchConfig
	cmd := &cobra.Command{
		Use: "bench", Short: "Send a steady load and show latencies and over-admission; exit code 3 if a target is missed",
		Args: cobra.NoArgs,
		Long: `Sends calls at a fixed rate, an open loop: a call that had to wait for its turn counts
from when it was due. Every run asks for keys of its own, so that it can tell what was
admitted beyond their limit: more than nothing is always a missed target. The node, this
command and everything else on the machine share its processors.`,
		Example: `  bucketring bench --rate 20000 --duration 30s
  bucketring bench --door resp --zipf 1.1 --keys 100000 --limit 100/s
  bucketring bench --addr 10.0.0.1:7751,10.0.0.2:7751 --target-p99 2ms -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cfg.credentials, err = credentialsOf(cmd.Flags()); err != nil {
				return err
			}
			return cfg.run(cmd)
		},
	}
	f := cmd.Flags()
	f.StringVar(&cfg.door, "door", "grpc", "grpc, http or resp")
	f.StringSliceVar(&cfg.addrs, "addr", nil, "addresses of nodes, asked in turn (default the door's on 127.0.0.1)")
	f.Float64Var(&cfg.rate, "rate", 1000, "calls a second, of all callers together")
	f.IntVar(&cfg.callers, "callers", 64, "callers, each with one call under way at most")
	f.DurationVar(&cfg.duration, "duration", 10*time.Second, "how long, after the warm-up")
	f.DurationVar(&cfg.warmUp, "warm-up", 2*time.Second, "how long calls do not count before")
	f.IntVar(&cfg.keys, "keys", 10000, "different keys")
	f.Float64Var(&cfg.zipf, "zipf", 0, "exponent of the keys' popularity; 0 is all alike, 1.1 is usual")
	f.StringVar(&cfg.limit, "limit", "100/s", "limit of each key")
	f.BoolVar(&cfg.unary, "unary", false, "door grpc: a gRPC call for each, not a stream for all")
	f.StringVar(&cfg.hgrm, "hgrm", "", "write the latencies' percentiles to this file, in ms")
	f.DurationVar(&cfg.p50, "target-p50", 0, "most that half of the calls may take")
	f.DurationVar(&cfg.p99, "target-p99", 0, "most that 99 % of the calls may take")
	f.DurationVar(&cfg.p999, "target-p99.9", 0, "most that 99.9 % of the calls may take")
	f.Float64Var(&cfg.answered, "target-answered", 0.99, "least share of the calls that must be answered in time")
	f.Float64Var(&cfg.degraded, "target-degraded", 1, "largest share of answers without the key's owner")
	addCredentials(f)
	addOutput(cmd)
	return cmd
}

func (cfg *benchConfig) run(cmd *cobra.Command) error {
	limits, err := cfg.check()
	if err != nil {
		return usage(err)
	}
	call, end, err := cfg.open(cmd.Context(), limits)
	if err != nil {
		return asExit(err)
	}
	defer end()
	fmt.Fprintf(cmd.ErrOrStderr(), "%s at %s: %g calls/s by %d callers for %v, %d keys, each %s\n",
		cfg.door, strings.Join(cfg.addrs, ", "), cfg.rate, cfg.callers, cfg.duration, cfg.keys, cfg.limit)
	run := "bench-" + rand.Text()[:8] + ":" // nobody has spent anything of these keys
	load := workload.Load{
		Rate: cfg.rate, Callers: cfg.callers, WarmUp: cfg.warmUp, For: cfg.duration, Keys: workload.Zipf(cfg.keys, cfg.zipf, 1),
		Call: func(ctx context.Context, caller int, key string) (workload.Answer, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return call(ctx, caller, run+key)
		},
		Each: func(p workload.Progress) {
			if p.Passed > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%4.0f s  %d calls, %d failed\n", p.Passed.Seconds(), p.Calls, p.Failed)
			}
		},
	}
	r, err := load.Run(cmd.Context())
	if err != nil {
		return usage(err)
	}
	if r.Calls == r.Failed {
		return asExit(fmt.Errorf("none of %d calls was answered: %w", r.Calls, errors.Join(r.FirstErr, cmd.Context().Err())))
	}
	result := cfg.result(r, limits)
	if err := cfg.writeLatencies(r); err != nil {
		return asExit(err)
	}
	if err := output(cmd, result, result.text); err != nil {
		return err
	}
	if len(result.Missed) > 0 {
		return &exit{code: exitDenied, err: fmt.Errorf("targets missed: %s", strings.Join(result.Missed, "; "))}
	}
	return nil
}

func (cfg *benchConfig) check() ([]bucketring.Limit, error) {
	ports := map[string]string{"grpc": "127.0.0.1:7751", "http": "127.0.0.1:7750", "resp": "127.0.0.1:7754"}
	if ports[cfg.door] == "" {
		return nil, fmt.Errorf("unknown door %q: use grpc, http or resp", cfg.door)
	}
	if len(cfg.addrs) == 0 {
		cfg.addrs = []string{ports[cfg.door]}
	}
	if cfg.keys < 1 || cfg.callers < 1 || cfg.rate <= 0 || cfg.duration <= 0 || cfg.warmUp < 0 || cfg.zipf < 0 {
		return nil, errors.New("rate, callers, keys and duration must be above 0, warm-up and zipf not below")
	}
	limits, err := bucketring.Parse(cfg.limit)
	if err != nil {
		return nil, err
	}
	plain := bucketring.Limit{Name: limits[0].Name, Amount: limits[0].Amount, Burst: limits[0].Burst, Per: limits[0].Per}
	if cfg.door == "resp" && !slices.Equal(limits, []bucketring.Limit{plain}) {
		return nil, fmt.Errorf("limit %q: Redis clients have one token bucket a call, such as 100/s", cfg.limit)
	}
	return limits, nil
}

// writeLatencies writes the file of --hgrm.
func (cfg *benchConfig) writeLatencies(r *workload.Report) error {
	if cfg.hgrm == "" {
		return nil
	}
	file, err := os.Create(cfg.hgrm)
	if err != nil {
		return err
	}
	_, err = r.Latency.PercentilesPrint(file, 5, 1e6)
	return errors.Join(err, file.Close())
}
