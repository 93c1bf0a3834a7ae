package proxytest

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

// A Link is what a proxy is put between. The proxies are behind a load balancer
// on this machine, which the test plays: it tells the client in X-Forwarded-For.
type Link struct {
	Addr  string // where the proxy listens
	HTTP2 string // where it speaks HTTP/2 as well, without TLS; "" is nowhere
	App   string // the application's address
	Unix  string // the path of the gate's socket
	SPOA  string // the address of the gate's agent
}

// Nginx starts nginx with the configuration in folder, in which oldnew replaces
// text, and returns the file that it reads.
func Nginx(t *testing.T, folder string, l Link, oldnew ...string) (p *Process, config string) {
	t.Helper()
	program := Need(t, "nginx", "nginx-light")
	dir := t.TempDir()
	for _, name := range []string{"ipwarden-question.conf", "ipwarden-answer.conf", "ipwarden-headers.conf"} {
		Config(t, dir, filepath.Join(folder, name))
	}
	listen := "listen " + l.Addr + ";"
	if l.HTTP2 != "" {
		listen += " listen " + l.HTTP2 + " http2;"
	}
	config = Config(t, dir, filepath.Join(folder, "nginx.conf"), append([]string{
		"listen 127.0.0.1:8080;", listen, "127.0.0.1:8000", l.App, "/run/ipwarden/ipwarden.sock", l.Unix, "/run/ipwarden/outcomes.sock", l.Unix + ".outcomes",
		"    access_log /var/log/nginx/access.log;\n", "",
		"# set_real_ip_from 10.0.0.0/8;", "set_real_ip_from 127.0.0.0/8;",
		// Where a person who is not root may write.
		"http {\n", "http { client_body_temp_path b; proxy_temp_path p; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;\n",
	}, oldnew...)...)
	global := "daemon off; pid " + filepath.Join(dir, "nginx.pid") + "; error_log stderr warn;"
	if os.Getuid() == 0 {
		global += " user root;" // the test's folders are its own
	}
	return StartUntil(t, dir, "answers", func() bool { return Answers(l.Addr) }, program, "-p", dir, "-e", "stderr", "-c", config, "-g", global), config
}

// HAProxy is [Nginx] for HAProxy; oldnew is for ipwarden-spoe.cfg.
func HAProxy(t *testing.T, folder string, l Link, oldnew ...string) (p *Process, config string) {
	t.Helper()
	program := Need(t, "haproxy", "haproxy")
	dir := t.TempDir()
	Config(t, dir, filepath.Join(folder, "ipwarden-spoe.cfg"), oldnew...)
	Config(t, dir, filepath.Join(folder, "ipwarden.lua"))
	bind := "    bind " + l.Addr + "\n"
	if l.HTTP2 != "" {
		bind += "    bind " + l.HTTP2 + " proto h2\n"
	}
	config = Config(t, dir, filepath.Join(folder, "haproxy.cfg"),
		"    bind 127.0.0.1:8080\n", bind, "127.0.0.1:8000", l.App, "127.0.0.1:9000", l.SPOA, "/run/ipwarden/ipwarden.sock", l.Unix)
	elsewhere := t.TempDir() // the files are found beside the configuration
	return StartUntil(t, elsewhere, "answers", func() bool { return Answers(l.Addr) }, program, "-W", "-db", "-f", config), config
}

// Caddy is [Nginx] for Caddy. It speaks HTTP/2 without TLS at Addr.
func Caddy(t *testing.T, folder string, l Link, oldnew ...string) (p *Process, config string) {
	t.Helper()
	program := Need(t, "caddy", "caddy")
	dir := t.TempDir()
	Config(t, dir, filepath.Join(folder, "ipwarden-headers.caddy"))
	_, port, err := net.SplitHostPort(l.Addr)
	if err != nil {
		t.Fatal(err)
	}
	config = Config(t, dir, filepath.Join(folder, "Caddyfile"), append([]string{
		":8080 {\n", "{\n\tadmin " + FreeAddr(t) + "\n\tauto_https off\n\tservers {\n\t\tprotocols h1 h2 h2c\n\t}\n}\n:" + port + " {\n\tbind 127.0.0.1\n",
		"127.0.0.1:8000", l.App, "/run/ipwarden/ipwarden.sock", l.Unix,
		"# trusted_proxies 10.0.0.0/8", "trusted_proxies 127.0.0.0/8",
	}, oldnew...)...)
	return StartUntil(t, dir, "answers", func() bool { return Answers(l.Addr) }, program, "run", "--config", config, "--adapter", "caddyfile"), config
}
