package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// nginxModules is where distributions put the module.
var nginxModules = []string{
	"/usr/lib/nginx/modules/ngx_http_geoip2_module.so",
	"/usr/lib64/nginx/modules/ngx_http_geoip2_module.so",
}

func nginxModule() string {
	for _, name := range nginxModules {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	}
	return ""
}

// nginxMissing says why nginx takes no part, "" when it does.
func nginxMissing() string {
	if _, err := exec.LookPath("nginx"); err != nil {
		return "install nginx-light"
	}
	if nginxModule() == "" {
		return "install libnginx-mod-http-geoip2"
	}
	return ""
}

// nginxConfig answers by return, which is the least that nginx can do: the
// address comes as an argument, so that no regular expression is in the way.
const nginxConfig = `load_module %[1]s;
worker_processes 1;
daemon off;
pid %[2]s/nginx.pid;
error_log %[2]s/error.log warn;
events { worker_connections 1024; }
http {
	access_log off;
	keepalive_requests 1000000000;
	keepalive_timeout 75s;
	tcp_nodelay on;
	default_type application/json;
	client_body_temp_path %[2]s/body;
	proxy_temp_path %[2]s/proxy;
	fastcgi_temp_path %[2]s/fastcgi;
	uwsgi_temp_path %[2]s/uwsgi;
	scgi_temp_path %[2]s/scgi;
	geoip2 %[3]s {
		$code source=$arg_ip country iso_code;
		$country source=$arg_ip country names en;
		$asn source=$arg_ip autonomous_system_number;
	}
	server {
		listen 127.0.0.1:%[4]s backlog=511;
		location = /lookup { return 200 '{"ip":"$arg_ip","location":{"country_code":"$code","country":"$country"},"asn":{"number":$asn}}\n'; }
		location = /fixed { return 200 '{"ip":"203.0.113.100","location":{"country_code":"US","country":"United States"},"asn":{"number":64500}}\n'; }
	}
}
`

func startNginx(ctx context.Context, w *world, dir, port string) (*server, error) {
	home := filepath.Join(dir, "nginx")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	// Its worker may run as another user, who reads the database while starting
	// as root, and keeps it open.
	conf := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConfig, nginxModule(), home, w.mmdb(), port), 0o644); err != nil {
		return nil, err
	}
	return startServer(ctx, "127.0.0.1:"+port, "nginx", "-p", home, "-e", filepath.Join(home, "error.log"), "-c", conf)
}
