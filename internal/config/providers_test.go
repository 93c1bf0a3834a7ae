package config

import (
	"encoding/json"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the tests expect")

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestReadProviders(t *testing.T) {
	f, err := os.Open("testdata/good/providers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := ReadProviders(f, "providers.yaml", environment("IPINFO_TOKEN", "tok", "MAXMIND_ACCOUNT", "42", "MAXMIND_KEY", " lic\n", "IPASIS_KEY", "ipasis_x", "ABUSE_KEY", "ab"))
	if err != nil {
		t.Fatal(err)
	}
	want := []ProviderSpec{
		{Name: "ipinfo", Kind: "ipinfo", Plan: "core", Key: "tok"},
		{Name: "maxmind-city", Kind: "maxmind", Plan: "city", Account: "42", Key: "lic", ProxyFromEnv: true, MaxBytes: 65536},
		{Name: "free", Kind: "generic", Map: "ip-api"},
		{Name: "other", Kind: "ipwarden", URL: "unix:/run/ipwarden.sock"},
		{Name: "ipasis", Kind: "ipasis", URL: "https://ip.example/base", Key: "ipasis_x", KeyIn: "bearer", CAFile: "ca.pem"},
		{Name: "abuseipdb", Kind: "abuseipdb", Key: "ab", AbuseFrom: 90},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %#v\nwant %#v", got, want)
	}
}

func TestReadProvidersKeyFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(name, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ReadProviders(strings.NewReader("providers: [{kind: ipinfo, key_file: "+name+"}]"), "p.yaml", environment())
	if err != nil || len(got) != 1 || got[0].Key != "from-a-file" {
		t.Fatalf("got %d, %v", len(got), err)
	}
	if err := os.WriteFile(name, []byte("two words"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = ReadProviders(strings.NewReader("providers: [{kind: ipinfo, key_file: "+name+"}]"), "p.yaml", environment())
	if err == nil || !strings.Contains(err.Error(), "holds spaces") || strings.Contains(err.Error(), "two words") {
		t.Errorf("got %v", err)
	}
}

// Every mistake is said at once, with its place, and none with a key.
func TestReadProvidersMistakes(t *testing.T) {
	f, err := os.Open("testdata/bad/providers.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = ReadProviders(f, "providers.yaml", environment())
	if err == nil {
		t.Fatal("mistakes were taken")
	}
	got := err.Error() + "\n"
	if *update {
		if err := os.WriteFile("testdata/bad/providers.txt", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/bad/providers.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if strings.Contains(got, "hush-hush") {
		t.Errorf("a key is in\n%s", got)
	}
}

// A key is not shown where the file is no YAML either.
func TestReadProvidersHidesKeys(t *testing.T) {
	for _, file := range []string{
		"providers:\n  - kind: ipinfo\n    key: \"hush-hush\n", "providers: [{key: hush-hush, key: hush-hush]",
		"providers:\n  - key:\n      hush-hush: [\n", "key: 'hush-hush\nproviders: {", "providers:\n  - key: >\n      hush-hush\n   bad",
		"providers:\n  - {kind: ipinfo, 'key': hush-hush, url: [}\n", "\"key\" : hush-hush: x\n", strings.Repeat(" ", 90) + "key: hush-hush: hush-hush: " + strings.Repeat("x", 90),
		"providers:\n  - kind: ipinfo\n    kye: hush-hush\n", "providers:\n\t- key: hush-hush",
	} {
		_, err := ReadProviders(strings.NewReader(file), "p.yaml", environment())
		if err == nil {
			t.Errorf("no mistake in %q", file)
		} else if strings.Contains(err.Error(), "hush") {
			t.Errorf("%q: a key is in\n%v", file, err)
		}
	}
}

func TestSecret(t *testing.T) {
	s := ProviderSpec{Key: "hush"}
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "spec", s, "key", s.Key)
	for _, got := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v", s, s, s), fmt.Sprintf("%s %q %x %d", s.Key, s.Key, s.Key, s.Key), string(j), log.String(),
	} {
		if strings.Contains(got, "hush") || strings.Contains(got, "68757368") || !strings.Contains(got, "[secret]") {
			t.Errorf("a secret is in %s", got)
		}
	}
}

func FuzzReadProviders(f *testing.F) {
	for _, name := range []string{"testdata/good/providers.yaml", "testdata/bad/providers.yaml"} {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Fuzz(func(t *testing.T, in string) {
		specs, err := ReadProviders(strings.NewReader(in), "p.yaml", environment("A", "a"))
		if err != nil {
			_ = err.Error()
			return
		}
		names := map[string]bool{}
		for _, s := range specs {
			if s.Kind == "" || s.Name == "" || names[s.Name] || s.Key != "" && s.Key != "a" && !strings.Contains(in, "key_file") {
				t.Fatalf("taken: %+v", s)
			}
			names[s.Name] = true
		}
	})
}
