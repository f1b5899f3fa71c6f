// files_test.go reads the files of deploy/ without the programs that they are for.

package doortest_test

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// proxyFiles are the files by which proxies ask.
var proxyFiles = []string{
	"deploy/nginx/bucketring.conf", "deploy/caddy/Caddyfile", "deploy/haproxy/bucketring.lua",
	"deploy/haproxy/haproxy.cfg", "deploy/traefik/bucketring.yaml",
}

var (
	comment = regexp.MustCompile(`(?m)^\s*(#|--).*$`)
	asked   = regexp.MustCompile(`/(?:v1|readyz|livez)[-a-z0-9/]*(?:\?[a-z0-9=&]*)?`)
)

// Every path that a proxy asks is one of the API, with parameters that it takes.
func TestProxyFilesNameExistingCalls(t *testing.T) {
	api := readAPI(t)
	for _, file := range proxyFiles {
		found := asked.FindAllString(comment.ReplaceAllString(read(t, file), ""), -1)
		if len(found) == 0 {
			t.Errorf("%s asks nothing of bucketring", file)
		}
		for _, target := range found {
			u, err := url.Parse(target)
			if err != nil {
				t.Fatal(err)
			}
			call, ok := api.Paths[u.Path]["get"]
			if !ok {
				t.Errorf("%s asks GET %s, which internal/httpapi/openapi.yaml does not have", file, u.Path)
			}
			for name := range u.Query() {
				if !slices.ContainsFunc(call.Parameters, func(p parameter) bool { return p.Name == name && p.In == "query" }) {
					t.Errorf("%s asks %s with %q, which is no parameter of it", file, u.Path, name)
				}
			}
		}
	}
}

// Addresses are those of the documentation: 7750 is bucketring, 8080 the application.
func TestProxyFilesHaveDefaultAddresses(t *testing.T) {
	for _, file := range proxyFiles {
		if strings.HasSuffix(file, ".lua") {
			continue // has none
		}
		text := read(t, file)
		for _, addr := range []string{"127.0.0.1:7750", "127.0.0.1:8080"} {
			if !strings.Contains(text, addr) {
				t.Errorf("%s has no %s", file, addr)
			}
		}
	}
}

// A dynamic is the part of Traefik's dynamic configuration that we use, under the names
// of its reference: https://doc.traefik.io/traefik/reference/dynamic-configuration/file/
type dynamic struct {
	HTTP struct {
		Routers map[string]struct {
			Rule        string
			EntryPoints []string `yaml:"entryPoints"`
			Middlewares []string
			Service     string
		}
		Middlewares map[string]struct {
			ForwardAuth struct {
				Address             string
				AuthResponseHeaders []string `yaml:"authResponseHeaders"`
			} `yaml:"forwardAuth"`
		}
		Services map[string]struct {
			LoadBalancer struct{ Servers []struct{ URL string } } `yaml:"loadBalancer"`
		}
	} `yaml:"http"`
}

func TestTraefikFile(t *testing.T) {
	var d dynamic
	dec := yaml.NewDecoder(strings.NewReader(read(t, "deploy/traefik/bucketring.yaml")))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil {
		t.Fatal(err)
	}
	if len(d.HTTP.Routers) == 0 {
		t.Error("there is no router")
	}
	for name, r := range d.HTTP.Routers {
		for _, m := range r.Middlewares {
			if _, ok := d.HTTP.Middlewares[m]; !ok {
				t.Errorf("router %s has the middleware %s, which is not there", name, m)
			}
		}
		if _, ok := d.HTTP.Services[r.Service]; !ok {
			t.Errorf("router %s has the service %s, which is not there", name, r.Service)
		}
	}
	auth := d.HTTP.Middlewares["bucketring"].ForwardAuth
	u, err := url.Parse(auth.Address)
	if err != nil || u.Host != "127.0.0.1:7750" || u.Query().Get("namespace") == "" || u.Query().Has("deny") || u.Query().Has("length") {
		t.Errorf("address %q (%v), want forward-auth of a namespace with its own refusals", auth.Address, err)
	}
	want := []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}
	if !slices.Equal(auth.AuthResponseHeaders, want) {
		t.Errorf("authResponseHeaders = %q, want %q", auth.AuthResponseHeaders, want)
	}
}
