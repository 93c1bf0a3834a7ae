package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLoadSettings(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)

	s, err := LoadSettings("")
	if err != nil {
		t.Fatalf("no file is no error, got %v", err)
	}
	if _, ok := s.Get("listen"); ok {
		t.Error("a setting came from nowhere")
	}

	write(t, "ipwarden.yaml", "listen: 127.0.0.1:9090\ndata_dir: /srv/ipwarden\nkeep: 3\noverlay: [a.yaml, b.yaml]\n")
	s, err = LoadSettings("")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"listen": "127.0.0.1:9090", "data-dir": "/srv/ipwarden", "keep": "3", "overlay": "a.yaml,b.yaml"} {
		if got, _ := s.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}

	if _, err := LoadSettings("elsewhere.yaml"); !os.IsNotExist(err) {
		t.Errorf("a named file that is not there: got %v", err)
	}

	// One item needs no dash.
	write(t, "one.yaml", "trusted_proxies: 10.0.0.0/8\nupgrade: websocket,h2c\noverlay: [a.yaml]\nenrich:\nproxy_protocol: 7\n")
	if s, err = LoadSettings("one.yaml"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"trusted-proxies": "10.0.0.0/8", "upgrade": "websocket,h2c", "overlay": "a.yaml", "enrich": "", "proxy-protocol": "7"} {
		if got, _ := s.Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}

	write(t, "bad.yaml", "lisen: 127.0.0.1:1\nkeep: many\noverlay: {a: b}\ndataset: {a: b}\n")
	_, err = LoadSettings("bad.yaml")
	if err == nil {
		t.Fatal("mistakes were taken")
	}
	for _, want := range []string{
		`bad.yaml:1:1: the configuration has no "lisen"; did you mean "listen"?`,
		"bad.yaml:2:7: keep must be a number", "bad.yaml:3:10: overlay must be a list", "bad.yaml:4:10: dataset must be text",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in\n%v", want, err)
		}
	}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDataDir(t *testing.T) {
	for name, c := range map[string]struct {
		flag string
		env  map[string]string
		want string
	}{
		"flag":         {"/x", map[string]string{"STATE_DIRECTORY": "/var/lib/a"}, "/x"},
		"systemd":      {"", map[string]string{"STATE_DIRECTORY": "/var/lib/a:/var/lib/b", "XDG_DATA_HOME": "/h"}, "/var/lib/a"},
		"xdg":          {"", map[string]string{"XDG_DATA_HOME": "/h/share", "HOME": "/h"}, filepath.Join("/h/share", "ipwarden")},
		"relative xdg": {"", map[string]string{"XDG_DATA_HOME": "share", "HOME": "/h"}, filepath.Join("/h", ".local", "share", "ipwarden")},
		"nothing":      {"", nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := DataDir(c.flag, func(k string) string { return c.env[k] })
			if got != c.want || (err == nil) != (c.want != "") {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}
