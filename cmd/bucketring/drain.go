// drain.go has a node hand its counters to the others.

package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// progress is how far a drain is, as the node says it.
type progress struct {
	State          string `json:"state"`
	PartitionsLeft int    `json:"partitions_left"`
	HandedOver     int64  `json:"handed_over"`
}

func drainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "drain", Short: "Have a node hand its counters to the others and stay; exit code 4 if not all could be",
		Args: cobra.NoArgs,
		Long: `Takes a node out of its cluster: it is not ready any more, hands its counters to the
others and answers on until it is stopped. With --leave its process ends then.
Progress goes to standard error. Exit code 0 once all is handed over, 4 if the
node's --drain-timeout was too short for that.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ask, path := adminAsker(cmd), "/v1/admin/drain"
			leave, _ := cmd.Flags().GetBool("leave")
			var p progress
			if leave {
				path = "/v1/admin/leave"
			}
			if _, err := ask.call(cmd.Context(), http.MethodPost, path, nil, &p); err != nil {
				return err
			}
			for shown := time.Now(); p.State == "draining" || p.State == "joining"; {
				select {
				case <-cmd.Context().Done():
					return asExit(cmd.Context().Err())
				case <-time.After(50 * time.Millisecond):
				}
				if _, err := ask.call(cmd.Context(), http.MethodGet, "/v1/admin/drain", nil, &p); err != nil {
					return err
				}
				if time.Since(shown) > time.Second {
					shown = time.Now()
					fmt.Fprintf(cmd.ErrOrStderr(), "%d partitions left, %d counters handed over\n", p.PartitionsLeft, p.HandedOver)
				}
			}
			if err := output(cmd, p, p.text); err != nil {
				return err
			}
			if p.State != "drained" {
				return &exit{code: exitDegraded}
			}
			return nil
		},
	}
	cmd.Flags().Bool("leave", false, "end the process after that")
	addAdminAddr(cmd)
	addOutput(cmd)
	return cmd
}

func (p progress) text() string {
	return fmt.Sprintf("%s: %d partitions left, %d counters handed over\n", p.State, p.PartitionsLeft, p.HandedOver)
}

func addAdminAddr(cmd *cobra.Command) {
	cmd.Flags().String("admin-addr", "", "admin address of a node [BUCKETRING_ADMIN_ADDR] (default 127.0.0.1:7753)")
	addCredentials(cmd.Flags())
}

// adminAsker asks the admin listener that the flag or the environment names.
func adminAsker(cmd *cobra.Command) *asker {
	return askerAt(cmd, "admin-addr", "BUCKETRING_ADMIN_ADDR", "127.0.0.1:7753")
}
