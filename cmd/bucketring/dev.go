package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func devCommand() *cobra.Command {
	table := settings(true)
	cmd := &cobra.Command{
		Use: "dev", Short: "Run one node for trying things out", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := readConfig(cmd, table)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), cfg, newLogger(cmd.ErrOrStderr(), cfg), func(s *server) {
				fmt.Fprint(cmd.OutOrStdout(), welcome(s))
			})
		},
	}
	addFlags(cmd.Flags(), table)
	return cmd
}

// welcome tells a developer what to type next.
func welcome(s *server) string {
	at := s.addresses()
	return fmt.Sprintf(`  HTTP %s   gRPC %s   metrics http://%s/metrics
  try: curl -i '%s/v1/take?key=alice&limit=3/m'
  or:  bucketring take alice 3/m --addr %s
`, at["http"], at["grpc"], at["admin"], at["http"], at["http"])
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print version, commit, Go and protocol versions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := thisVersion()
			return output(cmd, v, func() string {
				return fmt.Sprintf("bucketring %s   commit %s   %s   peer protocol %d\n", v.Version, v.Commit, v.Go, v.Wire)
			})
		},
	}
	addOutput(cmd)
	return cmd
}

// A build says what this program is.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit"`
	Date    string `json:"date"`
	Go      string `json:"go"`
	Wire    int    `json:"wire"`
}

func thisVersion() build {
	b := build{Version: version, Commit: "unknown", Go: runtime.Version(), Wire: 1}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			b.Date = s.Value
		}
	}
	return b
}
