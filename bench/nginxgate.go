package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/valyala/fasthttp"
)

// nginxGateConfig serves a file: to everybody, and to whom one of three servers
// lets in. "return" would not do: nginx runs it before auth_request. The
// questions are those of integrations/nginx; what it reads from the answers is
// read in the last row alone, for it is not in the answers of the others. A question without an answer is an error, so that it cannot
// pass for a cheap one.
const nginxGateConfig = `worker_processes 1;
daemon off;
pid %[1]s/nginx.pid;
error_log %[1]s/error.log warn;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	keepalive_timeout 75s;
	tcp_nodelay on;
	default_type text/plain;
	open_file_cache max=16 inactive=1h;
	open_file_cache_valid 1h;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	set_real_ip_from 127.0.0.1;
	real_ip_header X-Client;
	map $http_host $ipwarden_host { default $http_host; "" $host; }
	upstream empty    { server unix:%[2]s; keepalive 64; keepalive_requests 1000000000; }
	upstream bare     { server unix:%[3]s; keepalive 64; keepalive_requests 1000000000; }
	upstream ipwarden { server unix:%[9]s; keepalive 64; keepalive_requests 1000000000; }
	server {
		listen %[4]s backlog=511;
		location / { root %[1]s/www; }
	}
	server {
		listen %[5]s backlog=511;
		location / { auth_request /.auth; root %[1]s/www; }
		location = /.auth { internal; include %[7]s/ipwarden-question.conf; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://empty/gate/nginx; }
	}
	server {
		listen %[6]s backlog=511;
		location / { auth_request /.auth; root %[1]s/www; }
		location = /.auth { internal; include %[7]s/ipwarden-question.conf; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://bare/gate/nginx; }
	}
	server {
		listen %[8]s backlog=511;
		location / { auth_request /.auth; include %[7]s/ipwarden-answer.conf; root %[1]s/www; }
		location @ipwarden-refused { return 403; }
		location = /.auth { internal; include %[7]s/ipwarden-question.conf; proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://ipwarden/gate/nginx; }
	}
}
`

func startNginxGate(ctx context.Context, p *places) (*server, error) {
	home := filepath.Join(p.dir, "nginx")
	if err := os.MkdirAll(filepath.Join(home, "www"), 0o755); err != nil {
		return nil, err
	}
	conf := filepath.Join(home, "nginx.conf")
	text := fmt.Appendf(nil, nginxGateConfig, home, p.emptySocket, p.bare.socket, p.nginx[0], p.nginx[1], p.nginx[2],
		filepath.Join(p.root, "integrations", "nginx"), p.nginx[3], p.gate.socket)
	if err := errors.Join(os.WriteFile(conf, text, 0o644), os.WriteFile(filepath.Join(home, "www", "page"), []byte("ok"), 0o644)); err != nil {
		return nil, err
	}
	return startServer(ctx, p.nginx[0], "nginx", "-p", home, "-e", filepath.Join(home, "error.log"), "-c", conf)
}

// serveEmptyMain lets everybody in: 200 and an empty body, by fasthttp on a Unix
// socket. An answer with a body would make nginx drop the connection each time.
func serveEmptyMain(args []string) error {
	if len(args) != 1 {
		return errors.New("want SOCKET")
	}
	s := &fasthttp.Server{Handler: func(*fasthttp.RequestCtx) {}}
	return s.ListenAndServeUNIX(args[0], 0o666)
}
