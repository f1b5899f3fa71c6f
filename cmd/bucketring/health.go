// health.go says whether this node is ready, and asks others.

package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"github.com/bucketring/bucketring/internal/httpapi"
)

// readiness is why a node is not ready. It depends on nothing but this node.
type readiness struct{ reason atomic.Pointer[error] }

// set makes the node ready with nil, or not with a reason.
func (r *readiness) set(reason error) { r.reason.Store(&reason) }

func (r *readiness) is() bool { return *r.reason.Load() == nil }

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

// onlyCertificate believes the certificate of the node in whose environment a check runs,
// under whatever name, and no other.
func onlyCertificate(name string) (*tls.Config, error) {
	pool, text, err := readCAs("tls-cert", name)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("tls-cert %s: %w", name, err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	switch {
	case len(leaf.DNSNames) > 0:
		cfg.ServerName = strings.Replace(leaf.DNSNames[0], "*", "node", 1)
	case len(leaf.IPAddresses) > 0:
		cfg.ServerName = leaf.IPAddresses[0].String()
	}
	return cfg, nil
}

// healthCommand is what a container's health check runs.
func healthCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "health", Short: "Ask a node whether it lives; for health checks", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			addr, _ := cmd.Flags().GetString("addr")
			client, scheme := http.Client{Timeout: 2 * time.Second}, "http://"
			if name := os.Getenv("BUCKETRING_TLS_CERT"); name != "" {
				believed, err := onlyCertificate(name)
				if err != nil {
					return asExit(err)
				}
				client.Transport, scheme = &http.Transport{TLSClientConfig: believed}, "https://"
			}
			resp, err := client.Get(scheme + addr + "/livez")
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
