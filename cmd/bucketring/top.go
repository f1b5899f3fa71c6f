// top.go shows the keys that are asked for most, live.

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// topAnswer is what the command reads of GET /v1/admin/top.
type topAnswer struct {
	Node       string   `json:"node"`
	Seconds    float64  `json:"seconds"`
	Clear      bool     `json:"clear"`
	Hottest    []topKey `json:"hottest"`
	MostDenied []topKey `json:"most_denied"`
}

type topKey struct {
	Namespace string `json:"namespace"`
	Limit     string `json:"limit"`
	Key       string `json:"key"`
	Takes     int64  `json:"takes"`
	Denied    int64  `json:"denied"`
	Over      int64  `json:"over"`
}

func topCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "top", Short: "Show the hottest and the most denied keys of a node, live", Args: cobra.NoArgs,
		Long: `Shows which keys were asked for most, and denied most, in the last 10 to 20 seconds
through one node's own doors. Numbers are estimates once there are more than some
hundred takes a second. On a terminal it shows them anew each second until it is
interrupted; else, and with -o json, once.

Keys are hashes, the same at every node with the same key file. --keys shows them
as they are, if the node was started with --log-keys.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			asJSON, err := wantsJSON(cmd)
			if err != nil {
				return err
			}
			ask := func(ctx context.Context) (t topAnswer, err error) {
				_, err = adminAsker(cmd).call(ctx, http.MethodGet, topPath(cmd), nil, &t)
				return t, err
			}
			if !asJSON && isTerminal(cmd.OutOrStdout()) {
				return eachSecond(cmd.Context(), func(ctx context.Context) error {
					t, err := ask(ctx)
					if err == nil {
						_, err = fmt.Fprint(cmd.OutOrStdout(), clearScreen+t.text())
					}
					return asExit(err)
				})
			}
			t, err := ask(cmd.Context())
			if err != nil {
				return err
			}
			return output(cmd, t, t.text)
		},
	}
	cmd.Flags().IntP("count", "n", 10, "keys in each list, 1 to 100")
	cmd.Flags().Bool("keys", false, "show keys as they are")
	addAdminAddr(cmd)
	addOutput(cmd)
	return cmd
}

func topPath(cmd *cobra.Command) string {
	count, _ := cmd.Flags().GetInt("count")
	path := "/v1/admin/top?count=" + strconv.Itoa(count)
	if keys, _ := cmd.Flags().GetBool("keys"); keys {
		path += "&keys=1"
	}
	return path
}

func (t *topAnswer) text() string {
	keys := "keys are hashes"
	if t.Clear {
		keys = "keys as callers gave them"
	}
	return fmt.Sprintf("%s: the last %.0f s through its own doors, %s\n\nhottest\n%s\nmost denied\n%s",
		t.Node, t.Seconds, keys, t.table(t.Hottest), t.table(t.MostDenied))
}

func (t *topAnswer) table(keys []topKey) string {
	if len(keys) == 0 {
		return "no key stands out\n"
	}
	cells := [][]string{{"KEY", "LIMIT", "TAKES/S", "DENIED/S"}}
	for _, k := range keys {
		limit := k.Limit
		if k.Namespace != "" {
			limit = k.Namespace + "/" + k.Limit
		}
		cells = append(cells, []string{printable(k.Key), printable(limit), t.perSecond(k.Takes), t.perSecond(k.Denied)})
	}
	return columns(cells)
}

func (t *topAnswer) perSecond(count int64) string {
	return strconv.FormatFloat(float64(count)/max(t.Seconds, 1), 'f', 1, 64)
}

// widest is how many runes of a key are shown.
const widest = 60

// printable is a key as a terminal may get it: callers choose what stands in it.
func printable(key string) string {
	if key == "" || !utf8.ValidString(key) || strings.ContainsFunc(key, func(r rune) bool { return !strconv.IsPrint(r) }) {
		key = strconv.Quote(key)
	}
	if utf8.RuneCountInString(key) > widest {
		key = string([]rune(key)[:widest-1]) + "…"
	}
	return key
}

// clearScreen moves a terminal's cursor home and empties the screen.
const clearScreen = "\x1b[H\x1b[2J"

// isTerminal reports whether somebody looks on.
func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull) // a character device too, that nobody looks at
	return err != nil || !os.SameFile(info, null)
}

// eachSecond does something now and each second, until it fails or the context is done,
// which is no error.
func eachSecond(ctx context.Context, do func(context.Context) error) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := do(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
