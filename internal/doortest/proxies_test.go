// proxies_test.go has the proxies, each with its file of deploy/.

package doortest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// proxies are those that Debian has.
var proxies = []*proxy{
	{
		program: "nginx", pkg: "nginx", file: "deploy/nginx/bucketring.conf",
		limiter: "127.0.0.1:7750", application: "127.0.0.1:8080", self: "127.0.0.1:8000",
		namespace: "namespace=site", launch: launchNginx, ownWords: true,
		closed: func(t *testing.T, config string) string { return withoutLine(t, config, "= @limit_away;") }, status: 500,
	},
	{
		program: "caddy", pkg: "caddy", file: "deploy/caddy/Caddyfile",
		limiter: "127.0.0.1:7750", application: "127.0.0.1:8080", self: "http://:8000", free: ":7759",
		namespace: "namespace=site", launch: launchCaddy,
		closed: func(t *testing.T, config string) string { return edit(t, config, " 127.0.0.1:7759 {", " {") }, status: 502,
	},
	{
		program: "haproxy", pkg: "haproxy", file: "deploy/haproxy/haproxy.cfg",
		limiter: "127.0.0.1:7750", application: "127.0.0.1:8080", self: "127.0.0.1:8000", free: ":7759",
		namespace: "lua.bucketring site", launch: launchHAProxy,
		closed: func(t *testing.T, config string) string {
			return edit(t, config, "# http-request deny", "http-request deny")
		}, status: 503,
	},
}

func TestProxies(t *testing.T) {
	for _, p := range proxies {
		t.Run(p.program, func(t *testing.T) { testProxy(t, p) })
	}
}

// withoutLine leaves the one line out that ends in a text.
func withoutLine(t *testing.T, config, end string) string {
	t.Helper()
	var kept []string
	all := strings.Split(config, "\n")
	for _, line := range all {
		if !strings.HasSuffix(line, end) {
			kept = append(kept, line)
		}
	}
	if len(kept) != len(all)-1 {
		t.Fatalf("%d lines end in %q, want 1", len(all)-len(kept), end)
	}
	return strings.Join(kept, "\n")
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// launchNginx runs one process that has all it writes in dir.
func launchNginx(t *testing.T, path, dir, config string) *process {
	t.Helper()
	site := write(t, filepath.Join(dir, "site.conf"), config)
	main := strings.NewReplacer("DIR", dir, "SITE", site).Replace(`
daemon off;
master_process off;
pid DIR/pid;
error_log stderr warn;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path DIR/body;
    proxy_temp_path DIR/proxy;
    fastcgi_temp_path DIR/fastcgi;
    uwsgi_temp_path DIR/uwsgi;
    scgi_temp_path DIR/scgi;
    include SITE;
}
`)
	return start(t, "nginx", exec.Command(path, "-e", "stderr", "-p", dir, "-c", write(t, filepath.Join(dir, "nginx.conf"), main)))
}

// launchCaddy runs it without the API by which it is administered.
func launchCaddy(t *testing.T, path, dir, config string) *process {
	t.Helper()
	config = "{\n\tadmin off\n\tstorage file_system " + dir + "\n}\n" + config
	cmd := exec.Command(path, "run", "--adapter", "caddyfile", "--config", write(t, filepath.Join(dir, "Caddyfile"), config))
	cmd.Env = append(cleanEnv(), "HOME="+dir, "XDG_CONFIG_HOME="+dir, "XDG_DATA_HOME="+dir)
	return start(t, "caddy", cmd)
}

// launchHAProxy runs it with its script beside the configuration, as deploy/ has it.
func launchHAProxy(t *testing.T, path, dir, config string) *process {
	t.Helper()
	write(t, filepath.Join(dir, "bucketring.lua"), read(t, "deploy/haproxy/bucketring.lua"))
	return start(t, "haproxy", exec.Command(path, "-db", "-f", write(t, filepath.Join(dir, "haproxy.cfg"), config)))
}
