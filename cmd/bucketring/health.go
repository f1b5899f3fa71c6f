// health.go says whether this node is ready, and asks others.

package main

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/internal/httpapi"
)

// readiness is why a node is not ready. It depends on nothing but this node.
type readiness struct{ reason atomic.Pointer[error] }

// set makes the node ready with nil, or not with a reason.
func (r *readiness) set(reason error) { r.reason.Store(&reason) }

func (r *readiness) checks() []httpapi.Check {
	return []httpapi.Check{{Name: "process", Live: true}, {Name: "member", Err: *r.reason.Load()}}
}

func newLogger(w io.Writer, cfg *config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(cfg.LogLevel)) // one of four words, checked before
	opts := &slog.HandlerOptions{Level: level}
	if cfg.LogJSON {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// healthCommand is what a container's health check runs.
func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Ask a node whether it lives; for health checks", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addr, _ := cmd.Flags().GetString("addr")
			client := http.Client{Timeout: 2 * time.Second}
			resp, err := client.Get("http://" + addr + "/livez")
			if err != nil {
				return asExit(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				return asExit(fmt.Errorf("%s answers %s", addr, resp.Status))
			}
			return nil
		},
	}
	cmd.Flags().String("addr", "127.0.0.1:7753", "admin or HTTP address of the node")
	return cmd
}
