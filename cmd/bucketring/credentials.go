// credentials.go says to a node who asks it: what flags and environment give commands for that.

package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/bucketring/bucketring/node/member"
)

// Credentials are how a command proves who it is, and whom it believes. The zero value asks in
// clear, and shows nothing.
type credentials struct {
	tls     *tls.Config
	token   string
	inClear bool // the token may cross the network in clear
}

// credentialFlags are the flags of credentials, with their names in the environment. A token itself
// is never on a command line, where all users of a machine see it.
var credentialFlags = []struct{ name, env, help string }{
	{"tls-ca", "BUCKETRING_TLS_CA", "authorities that sign nodes' certificates, in PEM (default those of the system, for https://)"},
	{"tls-cert", "BUCKETRING_CLIENT_CERT", "certificate to show to nodes, in PEM"},
	{"tls-key", "BUCKETRING_CLIENT_KEY", "its private key, in PEM"},
	{"token-file", "BUCKETRING_TOKEN_FILE", "file with the token to show; BUCKETRING_TOKEN can hold one itself"},
}

func addCredentials(flags *pflag.FlagSet) {
	for _, f := range credentialFlags {
		flags.String(f.name, "", f.help+" ["+f.env+"]")
	}
	flags.Bool("token-in-clear", false, "send the token to other machines without TLS, too")
}

// credentialsOf reads the flags of addCredentials. The error is one of usage.
func credentialsOf(flags *pflag.FlagSet) (c credentials, err error) {
	given := map[string]string{}
	for _, f := range credentialFlags {
		if given[f.name], _ = flags.GetString(f.name); given[f.name] == "" {
			given[f.name] = os.Getenv(f.env)
		}
	}
	c.inClear, _ = flags.GetBool("token-in-clear")
	if c.token, err = tokenFrom(given["token-file"]); err != nil {
		return c, usage(err)
	}
	if (given["tls-cert"] == "") != (given["tls-key"] == "") {
		return c, usage(errors.New("--tls-cert and --tls-key go together: give both, or none"))
	}
	if given["tls-ca"] == "" && given["tls-cert"] == "" {
		return c, nil
	}
	c.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if name := given["tls-ca"]; name != "" {
		if c.tls.RootCAs, _, err = readCAs("tls-ca", name); err != nil {
			return c, usage(err)
		}
	}
	if name := given["tls-cert"]; name != "" {
		own, err := tls.LoadX509KeyPair(name, given["tls-key"])
		if err != nil {
			return c, usage(fmt.Errorf("--tls-cert %s with --tls-key %s: %w", name, given["tls-key"], err))
		}
		c.tls.Certificates = []tls.Certificate{own}
	}
	return c, nil
}

// tokenFrom reads the token that a file has, or else the environment.
func tokenFrom(name string) (string, error) {
	if name == "" {
		return os.Getenv("BUCKETRING_TOKEN"), nil
	}
	text, err := readSecret("token-file", name)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \t\r\n") {
		return "", fmt.Errorf("token-file %s has no token, or more than one: it holds what \"bucketring token add\" has printed", name)
	}
	return token, nil
}

// asker returns one for a node. Without a scheme in its address it is asked over TLS if
// there is anything to say in it.
func (c credentials) asker(addr string) *asker {
	if c.tls != nil && !strings.Contains(addr, "://") {
		addr = "https://" + addr
	}
	a := newAsker(addr)
	a.token = c.token
	if c.tls != nil {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.TLSClientConfig = c.tls.Clone()
		a.client.Transport = transport
	}
	if at, err := url.Parse(a.base); err == nil && at.Scheme == "http" && !c.mayShow(at.Host) {
		a.err = usage(inClear(at.Host))
	}
	return a
}

// mayShow reports whether the token, if there is one, may go to host:port in clear.
func (c credentials) mayShow(addr string) bool {
	if !strings.Contains(addr, ":") {
		addr += ":80"
	}
	return c.token == "" || c.inClear || member.IsLoopback(addr)
}

func inClear(addr string) error {
	return fmt.Errorf("the token would cross the network in clear to %s: give --tls-ca, or accept that with --token-in-clear", addr)
}
