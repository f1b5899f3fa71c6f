package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/transport"
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
	var b strings.Builder
	scheme := "http"
	if s.proof.pair != nil {
		scheme = "https"
	}
	for _, door := range []struct{ name, format string }{
		{"http", "  HTTP     " + scheme + "://%s\n"}, {"grpc", "  gRPC     %s\n"}, {"resp", "  Redis    %s\n"}, {"admin", "  metrics  " + scheme + "://%s/metrics\n"},
		{"http", "  try      curl -i '" + scheme + "://%s/v1/take?key=alice&limit=3/m'\n"},
		{"http", "  or       bucketring take alice 3/m --addr %s\n"},
	} {
		if addr := at[door.name]; addr != "" {
			fmt.Fprintf(&b, door.format, addr)
		}
	}
	return b.String()
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "version", Short: "Print version, commit, date, Go and protocol versions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := thisVersion()
			return output(cmd, v, func() string {
				return fmt.Sprintf("bucketring %s   commit %s   %s   %s   peer protocol %d to %d\n",
					v.Version, v.Commit, cmp.Or(v.Date, "unknown date"), v.Go, v.WireOldest, v.Wire)
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
	// Wire is the latest version of the protocol between nodes that it speaks, WireOldest the
	// first.
	Wire       int `json:"wire"`
	WireOldest int `json:"wire_oldest"`
}

func thisVersion() build {
	b := build{Version: version, Commit: "unknown", Go: runtime.Version(), Wire: transport.LatestWire, WireOldest: transport.OldestWire}
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
