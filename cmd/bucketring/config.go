// config.go reads the settings: flag, then environment, then file, then default.

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bucketring/bucketring"
	"github.com/bucketring/bucketring/internal/envoyrls"
)

// A config is the settings of a node, read and checked.
type config struct {
	NodeName     string
	NodeZone     string
	Listen       listen
	Advertise    string
	Cluster      clusterConfig
	Policies     string
	KeyFile      string
	TokensFile   string
	TLS, PeerTLS tlsConfig
	DataDir      string
	DataSync     string
	Insecure     bool
	Budget       time.Duration
	RESP         respConfig
	Gubernator   gubernatorConfig
	Envoy        envoyrls.Settings
	MergeDomains bool
	Reflection   bool
	MaxKeys      int64
	MaxMemory    int64 // bytes; 0 means a share of the memory limit
	Drain        time.Duration
	Linger       time.Duration
	LogLevel     string
	LogJSON      bool
	LogKeys      bool
}

// A listen holds the addresses of the listeners; empty is off.
type listen struct{ HTTP, GRPC, Gossip, Admin, RESP, Peer string }

type respConfig struct {
	Unavailable bucketring.Unavailable
	Budget      time.Duration
	Idle        time.Duration // 0 is for ever
	Expiry      time.Duration
}

type clusterConfig struct {
	Join           []string
	Label          string
	BootstrapAfter time.Duration
}

// A source says where a value came from.
type source struct {
	values *koanf.Koanf
	of     map[string]string // by key
}

// load gathers all settings and where each came from. All errors come at once.
func load(flags *pflag.FlagSet, environ []string, table []setting) (*source, error) {
	src := &source{values: koanf.New("."), of: map[string]string{}}
	var problems []error
	if name := configFile(flags, environ); name != "" {
		problems = append(problems, src.addFile(name, table)...)
	}
	problems = append(problems, src.addEnviron(environ, table)...)
	err := src.values.Load(posflag.ProviderWithFlag(flags, ".", src.values, func(f *pflag.Flag) (string, any) {
		for _, s := range table {
			if s.flag() != f.Name {
				continue
			}
			if f.Changed {
				src.of[s.key] = "flag"
			} else if src.of[s.key] == "" {
				src.of[s.key] = "default"
			}
			return s.key, posflag.FlagVal(flags, f)
		}
		return "", nil
	}), nil)
	if err != nil {
		problems = append(problems, err)
	}
	return src, errors.Join(problems...)
}

func configFile(flags *pflag.FlagSet, environ []string) string {
	if name, _ := flags.GetString("config"); name != "" {
		return name
	}
	for _, e := range environ {
		if name, ok := strings.CutPrefix(e, "BUCKETRING_CONFIG="); ok {
			return name
		}
	}
	return ""
}

func (src *source) addFile(name string, table []setting) (problems []error) {
	ko := koanf.New(".")
	if err := ko.Load(file.Provider(name), yaml.Parser()); err != nil {
		return []error{fmt.Errorf("config file %s: %w", name, err)}
	}
	for _, key := range ko.Keys() {
		if findSetting(table, key) == nil {
			problems = append(problems, fmt.Errorf("config file %s: unknown key %q%s", name, key, suggest(table, key, func(s *setting) string { return s.key })))
			continue
		}
		src.of[key] = "file " + name
		if err := src.values.Set(key, ko.Get(key)); err != nil {
			problems = append(problems, err)
		}
	}
	return problems
}

// clientEnviron are names that belong to commands other than serve and dev.
var clientEnviron = []string{
	"BUCKETRING_CONFIG", "BUCKETRING_ADDR", "BUCKETRING_ADMIN_ADDR", "BUCKETRING_TLS_CA", "BUCKETRING_CLIENT_CERT",
	"BUCKETRING_CLIENT_KEY", "BUCKETRING_TOKEN", "BUCKETRING_TOKEN_FILE",
}

// injected reports whether Kubernetes sets a name by itself, for a Service that
// is called bucketring.
func injected(name string) bool {
	return strings.HasPrefix(name, "BUCKETRING_SERVICE_") || strings.HasPrefix(name, "BUCKETRING_PORT")
}

func (src *source) addEnviron(environ []string, table []setting) (problems []error) {
	provider := env.Provider(".", env.Opt{
		Prefix:      "BUCKETRING_",
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			for _, s := range table {
				if s.env() != name {
					continue
				}
				src.of[s.key] = "environment " + name
				return s.key, value
			}
			if !slices.Contains(clientEnviron, name) && !injected(name) {
				problems = append(problems, fmt.Errorf("environment: unknown name %s%s", name, suggest(table, name, (*setting).env)))
			}
			return "", nil
		},
	})
	if err := src.values.Load(provider, nil); err != nil {
		problems = append(problems, err)
	}
	return problems
}

// readConfig loads, decodes and checks the settings of a command.
func readConfig(cmd *cobra.Command, table []setting) (*config, error) {
	src, unknown := load(cmd.Flags(), os.Environ(), table)
	cfg, wrong := src.decode()
	return cfg, usage(errors.Join(unknown, wrong))
}

func findSetting(table []setting, key string) *setting {
	for i := range table {
		if table[i].key == key {
			return &table[i]
		}
	}
	return nil
}

// suggest proposes the nearest of the table's names.
func suggest(table []setting, word string, name func(*setting) string) string {
	names := make([]string, len(table))
	for i := range table {
		names[i] = name(&table[i])
	}
	return bucketring.Suggest(word, names)
}

func configCommand() *cobra.Command {
	table := settings(false)
	print := &cobra.Command{
		Use: "print", Short: "Print every setting, its value and where it came from", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			src, unknown := load(cmd.Flags(), os.Environ(), table)
			cfg, wrong := src.decode()
			if err := errors.Join(unknown, wrong); err != nil {
				return usage(err)
			}
			return printSettings(cmd, src, table, inEffect(cfg))
		},
	}
	addFlags(print.Flags(), table)
	addOutput(print)
	return group("config", "Look at the configuration of serve", configCheckCommand(), print)
}

// inEffect has what serve takes for settings that nobody gave and that have no default of
// their own, by key.
func inEffect(cfg *config) map[string]string {
	return map[string]string{"node.name": cfg.NodeName, "max-memory": fmt.Sprintf("%dMiB", memoryFor(cfg)>>20)}
}

func printSettings(cmd *cobra.Command, src *source, table []setting, inEffect map[string]string) error {
	type row struct {
		Key    string `json:"key"`
		Value  string `json:"value"`
		Source string `json:"source"`
	}
	rows := make([]row, len(table))
	cells := [][]string{{"KEY", "VALUE", "SOURCE"}}
	for i, s := range table {
		value := strings.Trim(fmt.Sprint(src.values.Get(s.key)), "[]")
		if _, list := s.value.([]string); list {
			value = strings.Join((&decoder{values: src.values}).list(s.key), ",")
		}
		if value == "" {
			value = inEffect[s.key]
		}
		if s.secret() && value != "" {
			value = "***"
		}
		rows[i] = row{s.key, value, src.of[s.key]}
		cells = append(cells, []string{s.key, value, src.of[s.key]})
	}
	return output(cmd, rows, func() string { return columns(cells) })
}
