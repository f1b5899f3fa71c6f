// files_test.go checks what the files for containers promise. It needs no engine.

package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

const root = "../.."

// A composeFile is the part of docker-compose.yml that promises are made of.
type composeFile struct {
	Services map[string]service
	Volumes  map[string]any
}

type service struct {
	Image           string
	User            string
	Privileged      bool
	ReadOnly        bool     `yaml:"read_only"`
	CapAdd          []string `yaml:"cap_add"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	NetworkMode     string   `yaml:"network_mode"`
	PidsLimit       int      `yaml:"pids_limit"`
	MemLimit        string   `yaml:"mem_limit"`
	Logging         struct{ Options map[string]string }
	Ports           []string
	Volumes         []string
	Profiles        []string
	Environment     map[string]string
	Restart         string
	StopSignal      string `yaml:"stop_signal"`
	StopGracePeriod string `yaml:"stop_grace_period"`
	Healthcheck     struct{ Test []string }
	Deploy          struct{ Replicas int }
}

// parseYAML reads a file below the root into v.
func parseYAML(t *testing.T, name string, v any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// compose returns docker-compose.yml with every ${NAME:-default} at its default.
func compose(t *testing.T) composeFile {
	t.Helper()
	var file composeFile
	text := regexp.MustCompile(`\$\{[A-Z_]+:-([^}]*)\}`).ReplaceAllString(read(t, "docker-compose.yml"), "$1")
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatalf("docker-compose.yml: %v", err)
	}
	for _, name := range []string{"keys", "node", "prometheus"} {
		if _, ok := file.Services[name]; !ok {
			t.Fatalf("docker-compose.yml has no service %s", name)
		}
	}
	return file
}

func TestServicesAreHardened(t *testing.T) {
	for name, s := range compose(t).Services {
		for promise, kept := range map[string]bool{
			"read_only: true":                     s.ReadOnly,
			"cap_drop: [ALL] and no cap_add":      slices.Equal(s.CapDrop, []string{"ALL"}) && s.CapAdd == nil,
			"no-new-privileges, not privileged":   slices.Contains(s.SecurityOpt, "no-new-privileges:true") && !s.Privileged,
			"no host network":                     s.NetworkMode != "host",
			"a bound on processes":                s.PidsLimit > 0,
			"a bound on logs":                     s.Logging.Options["max-size"] != "" && s.Logging.Options["max-file"] != "",
			"a fixed tag":                         regexp.MustCompile(`^[a-z/]+:[a-z0-9.]+$`).MatchString(s.Image) && !strings.HasSuffix(s.Image, ":latest"),
			"nothing of the engine's own mounted": !strings.Contains(strings.Join(s.Volumes, " "), "docker.sock"),
		} {
			if !kept {
				t.Errorf("service %s breaks the promise: %s", name, promise)
			}
		}
	}
}

// TestPortsAreOnLoopback also keeps the ports inside the containers that have no
// password, or are not for callers, off the host.
func TestPortsAreOnLoopback(t *testing.T) {
	inside := map[string][]string{"node": {"7750", "7751"}, "prometheus": {"9090"}}
	for name, s := range compose(t).Services {
		for _, p := range s.Ports {
			fields := strings.Split(p, ":")
			if len(fields) != 3 || fields[0] != "127.0.0.1" || !slices.Contains(inside[name], fields[2]) {
				t.Errorf("service %s publishes %s, want 127.0.0.1:HOST:PORT with PORT one of %v", name, p, inside[name])
			}
		}
		if len(s.Ports) != len(inside[name]) {
			t.Errorf("service %s publishes %v, want the ports %v", name, s.Ports, inside[name])
		}
	}
}

func TestNodeService(t *testing.T) {
	node := compose(t).Services["node"]
	grace, err := time.ParseDuration(node.StopGracePeriod)
	if err != nil || grace < 35*time.Second {
		t.Errorf("stop_grace_period %q: want more than the drain of 30s", node.StopGracePeriod)
	}
	if want := []string{"CMD", "/bucketring", "health"}; !slices.Equal(node.Healthcheck.Test, want) {
		t.Errorf("healthcheck %q, want %q", node.Healthcheck.Test, want)
	}
	for what, pair := range map[string][2]string{
		"user":        {node.User, "65532:65532"},
		"stop_signal": {node.StopSignal, "SIGTERM"},
		"restart":     {node.Restart, "unless-stopped"},
		"seeds":       {node.Environment["BUCKETRING_CLUSTER_JOIN"], "dns+node:7752"},
		"admin":       {node.Environment["BUCKETRING_LISTEN_ADMIN"], "127.0.0.1:7753"},
		"insecure":    {node.Environment["BUCKETRING_INSECURE"], "false"},
		"key file":    {node.Environment["BUCKETRING_KEY_FILE"], "/etc/bucketring/cluster.key"},
		"tokens file": {node.Environment["BUCKETRING_TOKENS_FILE"], ""},
		"volumes":     {strings.Join(node.Volumes, " "), "keys:/etc/bucketring:ro ./deploy/prometheus/tokens.yaml:/observe/tokens.yaml:ro"},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", what, pair[0], pair[1])
		}
	}
	if node.Environment["BUCKETRING_CLUSTER_LABEL"] == "" || node.MemLimit == "" || node.Deploy.Replicas != 3 {
		t.Errorf("label %q, mem_limit %q, %d replicas: want a label, a limit and 3",
			node.Environment["BUCKETRING_CLUSTER_LABEL"], node.MemLimit, node.Deploy.Replicas)
	}
}

// TestObserving: who watches has no scope that operates a node, and nothing is lifted for it.
func TestObserving(t *testing.T) {
	env := read(t, "deploy/prometheus/observe.env")
	for _, want := range []string{"BUCKETRING_LISTEN_ADMIN=0.0.0.0:7753\n", "BUCKETRING_TOKENS_FILE=/observe/tokens.yaml\n"} {
		if !strings.Contains(env, want) {
			t.Errorf("observe.env lacks %s", want)
		}
	}
	if strings.Contains(env, "INSECURE") {
		t.Error("observe.env lifts what a node refuses")
	}
	var tokens struct {
		Anonymous []string
		Tokens    []any
	}
	parseYAML(t, "deploy/prometheus/tokens.yaml", &tokens)
	if !slices.Equal(tokens.Anonymous, []string{"take", "adjust", "read"}) || len(tokens.Tokens) != 0 {
		t.Errorf("tokens.yaml has %+v", tokens)
	}
}

// TestOnlyKeysMakesSecrets: the one service that may write the key file has no
// network, and what observes is opt-in.
func TestOnlyKeysMakesSecrets(t *testing.T) {
	file := compose(t)
	keys := file.Services["keys"]
	if keys.User != "65532:65532" || keys.NetworkMode != "none" || keys.Restart != "no" {
		t.Errorf("keys runs as %q on network %q with restart %q, want 65532:65532, none, no", keys.User, keys.NetworkMode, keys.Restart)
	}
	for name, s := range file.Services {
		if name != "keys" && slices.Contains(s.Volumes, "keys:/etc/bucketring") {
			t.Errorf("service %s can write the key file", name)
		}
	}
	if got := file.Services["prometheus"].Profiles; !slices.Equal(got, []string{"observe"}) {
		t.Errorf("prometheus has the profiles %v, want observe", got)
	}
}

// instructions returns the Dockerfile's instructions, each with its arguments.
func instructions(t *testing.T) map[string][]string {
	t.Helper()
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(read(t, "deploy/Dockerfile"), "")
	all := map[string][]string{}
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if word, rest, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			all[word] = append(all[word], strings.Join(strings.Fields(rest), " "))
		}
	}
	return all
}

func TestDockerfile(t *testing.T) {
	got := instructions(t)
	for word, want := range map[string]string{
		"FROM":       "scratch",
		"USER":       "65532:65532",
		"EXPOSE":     "7750 7751 7752 7752/udp 7755",
		"STOPSIGNAL": "SIGTERM",
		"ENTRYPOINT": `["/bucketring"]`,
		"CMD":        `["serve"]`,
	} {
		if args := got[word]; len(args) != 1 || args[0] != want {
			t.Errorf("%s %q, want one %q", word, args, want)
		}
	}
	if check := strings.Join(got["HEALTHCHECK"], " "); !strings.HasSuffix(check, `CMD ["/bucketring", "health"]`) {
		t.Errorf("HEALTHCHECK %s: want the binary's own check", check)
	}
	for _, word := range []string{"RUN", "ADD", "VOLUME", "SHELL"} {
		if args, ok := got[word]; ok {
			t.Errorf("%s %q: scratch has nothing to run, and nothing is fetched", word, args)
		}
	}
}

// TestBuildContext: the engine gets what the image copies and nothing else.
func TestBuildContext(t *testing.T) {
	lines := strings.Fields(regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(read(t, ".dockerignore"), ""))
	if want := []string{"*", "!bin/bucketring", "!deploy/rootfs"}; !slices.Equal(lines, want) {
		t.Errorf(".dockerignore has %q, want %q", lines, want)
	}
	for _, args := range instructions(t)["COPY"] {
		fields := strings.Fields(args)
		source := fields[len(fields)-2]
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix("!"+source, l) }) {
			t.Errorf("COPY %s: .dockerignore keeps %s out", args, source)
		}
	}
}

func TestPrometheusFindsEveryNode(t *testing.T) {
	type found struct {
		Names []string
		Type  string
		Port  int
	}
	var config struct {
		Jobs []struct {
			Name string  `yaml:"job_name"`
			DNS  []found `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	parseYAML(t, "deploy/prometheus/prometheus.yml", &config)
	for _, job := range config.Jobs {
		for _, d := range job.DNS {
			if job.Name == "bucketring" && slices.Equal(d.Names, []string{"node"}) && d.Type == "A" && d.Port == 7753 {
				return
			}
		}
	}
	t.Errorf("jobs %+v: want bucketring with the A records of node at port 7753", config.Jobs)
}
