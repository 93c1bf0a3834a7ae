package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"go.yaml.in/yaml/v3"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

const recipes = "../../integrations/recipes/"

func recipe(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(recipes + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exported writes the dataset of the scripts in another format into dir.
func exported(t *testing.T, dir, format string, flags ...string) string {
	t.Helper()
	name := filepath.Join(dir, "world."+format)
	var said bytes.Buffer
	status := run(append([]string{"data", "export", "--dataset", smallWorld(t), "--format", format, "-o", name}, flags...), &env{
		stdin: strings.NewReader(""), stdout: io.Discard, stderr: &said, getenv: func(string) string { return "" }, now: time.Now,
	})
	if status != exitOK {
		t.Fatal(said.String())
	}
	return name
}

// recipeFields are those that the recipes for databases export.
const recipeFields = "network,location.country_code,asn.number,asn.name,security.is_anonymous"

func TestRecipeDuckDB(t *testing.T) {
	node, npm := proxytest.Need(t, "node", "nodejs"), proxytest.Need(t, "npm", "npm")
	dir := t.TempDir()
	if text := recipe(t, "duckdb.sql"); !strings.Contains(text, "--fields "+recipeFields+" -o world.csv") {
		t.Error("the recipe exports other fields than the test")
	}
	exported(t, dir, "csv", "--fields", recipeFields)
	requests := "ip\n8.8.8.8\n8.8.8.8\n185.220.101.1\n223.255.255.255\n2001:db8::1\nlocalhost\n"
	err := os.WriteFile(filepath.Join(dir, "requests.csv"), []byte(requests), 0o600)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "package.json"), []byte(recipe(t, "package.json")), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	fetch := exec.CommandContext(ctx, npm, "install", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-offline")
	fetch.Dir, fetch.WaitDelay = dir, time.Second
	if out, err := fetch.CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("npm install: %v\n%s", err, out)
		}
		t.Skipf("npm install: %v\n%s", err, out)
	}
	script, err := filepath.Abs(recipes + "duckdb.cjs")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(dir, "node_modules"))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, said.String())
	}
	const want = `{"counts":[[null,"3","3"],["US","2","1"],["DE","1","1"]],"rows":[` +
		`["185.220.101.1","DE","60729","Zwiebelfreunde e.V.",true],["2001:db8::1",null,null,null,null],["223.255.255.255",null,null,null,false],` +
		`["8.8.8.8","US","15169","GOOGLE",false],["8.8.8.8","US","15169","GOOGLE",false],["localhost",null,null,null,null]]}`
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
}

func TestRecipeClickHouse(t *testing.T) {
	server := proxytest.Need(t, "clickhouse-server", "clickhouse-server")
	dir := t.TempDir()
	csv := exported(t, dir, "csv", "--fields", recipeFields)
	dictionary := recipe(t, "clickhouse.xml")
	for field := range strings.SplitSeq(recipeFields, ",") {
		if !strings.Contains(dictionary, "<name>"+field+"</name>") || !strings.Contains(recipe(t, "clickhouse.sql"), field) {
			t.Errorf("%s is not in both recipes", field)
		}
	}
	const path = "/var/lib/clickhouse/user_files/world.csv"
	if !strings.Contains(dictionary, "<path>"+path+"</path>") {
		t.Fatal("the recipe has another path")
	}
	dictionary = strings.ReplaceAll(dictionary, "<path>"+path+"</path>", "<path>"+csv+"</path>")
	listen := proxytest.FreeAddr(t)
	_, port, _ := strings.Cut(listen, ":")
	config := fmt.Sprintf(`<yandex>
  <logger><level>warning</level><console>1</console></logger>
  <http_port>%[2]s</http_port><listen_host>127.0.0.1</listen_host>
  <path>%[1]s/data/</path><tmp_path>%[1]s/tmp/</tmp_path><user_files_path>%[1]s/</user_files_path><format_schema_path>%[1]s/</format_schema_path>
  <mark_cache_size>5368709</mark_cache_size><users_config>%[1]s/config.xml</users_config>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
  <profiles><default></default></profiles><quotas><default></default></quotas>
  <default_profile>default</default_profile><default_database>default</default_database>
  <dictionaries_config>%[1]s/ipwarden_dictionary.xml</dictionaries_config>
</yandex>`, dir, port)
	for name, text := range map[string]string{"config.xml": config, "ipwarden_dictionary.xml": dictionary} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, server, "--config-file="+filepath.Join(dir, "config.xml"))
	cmd.Dir, cmd.WaitDelay = dir, time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	defer func() { cancel(); <-ended }()
	ask := func(query string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+listen+"/", strings.NewReader(query))
		if err != nil {
			return "", err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return strings.TrimSpace(string(text)), err
	}
	up := time.NewTicker(50 * time.Millisecond)
	defer up.Stop()
	for {
		// Dictionaries are there a little later than the server.
		text, err := ask(`SELECT dictHas('ipwarden', tuple(IPv4StringToNum('8.8.8.8')))`)
		if err == nil && text == "1" {
			break
		}
		select {
		case <-ended:
			t.Fatalf("it ended: %s; the last answer was %q, %v", said.String(), text, err)
		case <-up.C:
		}
	}
	const query = `SELECT dictGet('ipwarden', 'location.country_code', k), dictGet('ipwarden', 'asn.number', k), dictGet('ipwarden', 'asn.name', k), dictGet('ipwarden', 'security.is_anonymous', k) FROM (SELECT tuple(%s) AS k)`
	for key, want := range map[string]string{
		"IPv4StringToNum('8.8.8.8')":           "US\t15169\tGOOGLE\tfalse",
		"IPv4StringToNum('185.220.101.1')":     "DE\t60729\tZwiebelfreunde e.V.\ttrue",
		"IPv4StringToNum('223.255.255.255')":   "\t0\t\tfalse",
		"IPv6StringToNum('2001:4860:4860::1')": "US\t15169\tGOOGLE\tfalse",
	} {
		if got, err := ask(fmt.Sprintf(query, key)); err != nil || got != strings.TrimSpace(want) {
			t.Errorf("%s: %q, %v; want %q", key, got, err, want)
		}
	}
}

// What the recipes for Vector, Logstash and Fluent Bit read is there: the
// configurations are of the right form, and every path in them leads to something in
// the exported MMDB, or is a field.
func TestRecipePaths(t *testing.T) {
	db, err := maxminddb.Open(exported(t, t.TempDir(), "mmdb"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var has any
	known := map[string]bool{}
	var walk func(prefix string, v any)
	walk = func(prefix string, v any) {
		if m, ok := v.(map[string]any); ok {
			for k, v := range m {
				walk(prefix+"."+k, v)
			}
			return
		}
		known[strings.TrimPrefix(prefix, ".")] = true
	}
	for _, a := range []string{"8.8.8.8", "185.220.101.1"} {
		if err := db.Lookup(netip.MustParseAddr(a)).Decode(&has); err != nil {
			t.Fatal(err)
		}
		walk("", has)
	}
	used := 0
	for _, c := range []struct {
		file string
		path *regexp.Regexp
	}{
		{"vector.yaml", regexp.MustCompile(`known\.([a-z_.]+)`)},
		{"fluent-bit.yaml", regexp.MustCompile(`%\{([a-z_.]+)\}`)},
	} {
		text := recipe(t, c.file)
		var doc map[string]any
		if err := yaml.Unmarshal([]byte(text), &doc); err != nil || reflect.ValueOf(doc).Len() < 2 {
			t.Errorf("%s: %v", c.file, err)
		}
		for _, m := range c.path.FindAllStringSubmatch(text, -1) {
			used++
			if !known[m[1]] {
				t.Errorf("%s: there is no %s in the MMDB", c.file, m[1])
			}
		}
	}
	text := recipe(t, "logstash.conf")
	m := regexp.MustCompile(`/v1/ip/%\{\[client\]\[ip\]\}\?fields=([a-z_.,]+)"`).FindStringSubmatch(text)
	if m == nil || strings.Count(text, "{") != strings.Count(text, "}") {
		t.Fatal("logstash.conf asks nothing")
	}
	if _, err := ipwarden.ParseFields(m[1]); err != nil {
		t.Error(err)
	}
	if used < 7 {
		t.Errorf("%d paths are used", used)
	}
}
