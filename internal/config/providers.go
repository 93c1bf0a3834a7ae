package config

import (
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// ProviderSpec is one provider of a providers file: an outside API that is asked
// about addresses. What a provider is made of is the vendor's part; the rest says
// when it is asked.
type ProviderSpec struct {
	Name    string // in the evidence, in metrics and in errors; default the kind, or the map that ships
	Kind    string // one of ProviderKinds
	Plan    string // which of the vendor's services; "" is its default
	Key     Secret
	KeyIn   string // how the key is sent: header, bearer, basic or query; "" is the vendor's default
	Account string // of vendors that have account numbers beside keys
	URL     string // instead of the vendor's
	Map     string // of kind generic: a map that ships, or a file
	// ProxyFromEnv goes through HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
	ProxyFromEnv bool
	CAFile       string // trusted instead of the system's authorities
	MaxBytes     int64  // of an answer; 0 is the default
	AbuseFrom    int    // of kind abuseipdb: the confidence from which it means an abuser; 0 is the default
	// DNSBL is what a provider of kind dnsbl is made of; nil of others.
	DNSBL *DNSBLSpec
	Asking
}

// ProviderKinds are the kinds of provider that a file may name.
func ProviderKinds() []string {
	return []string{"abuseipdb", "dnsbl", "generic", "ipasis", "ipdata", "ipinfo", "ipwarden", "maxmind"}
}

// maxProviders bounds a file.
const maxProviders = 64

// ReadProviders reads the providers of a file, for who asks them directly; see
// [ReadProvidersFile].
func ReadProviders(r io.Reader, file string, getenv func(string) string) ([]ProviderSpec, error) {
	f, err := ReadProvidersFile(r, file, getenv)
	if err != nil {
		return nil, err
	}
	return f.Providers, nil
}

// ReadProvidersFile reads a providers file:
//
//	providers:
//	  - name: ipinfo            # default: the kind
//	    kind: ipinfo
//	    plan: core
//	    key: ${IPINFO_TOKEN}    # or key_file: /run/secrets/ipinfo
//	    max_lookups_per_day: 50000
//	intelligence: async         # or sync, strict, local
//	budget: 100ms
//	merge: {order: [ipinfo, dataset], location: first}
//
// getenv is os.Getenv. The error is Mistakes, every one of them; no excerpt of
// it shows a key.
func ReadProvidersFile(r io.Reader, file string, getenv func(string) string) (*ProvidersFile, error) {
	d := &providersFile{document: &document{}, getenv: getenv}
	var body ast.Node
	text, err := io.ReadAll(io.LimitReader(r, yamldoc.MaxFile+1))
	if err != nil {
		d.document.Document = yamldoc.New(file)
		d.Whole("cannot be read: " + err.Error())
		return nil, d.Err()
	}
	d.document, body = parse(strings.NewReader(string(text)), file)
	d.secrets(string(text))
	var out ProvidersFile
	pairs, _ := d.Mapping(body, "a providers file")
	for _, p := range pairs {
		if d.outside(&out, p) {
			continue
		}
		if p.Key != "providers" {
			d.unknown(p, "a providers file", outsideKeys)
			continue
		}
		items := d.Sequence(p.Value, "providers")
		if len(items) > maxProviders {
			d.At(p.Token, fmt.Sprintf("there may be at most %d providers", maxProviders))
			continue
		}
		for _, item := range items {
			if s, ok := d.provider(item, out.Providers); ok {
				out.Providers = append(out.Providers, s)
			}
		}
	}
	d.ordered(&out, pairs)
	if err := d.Err(); err != nil {
		return nil, d.hide(err)
	}
	return &out, nil
}

// providerKeys is what one provider may hold.
var providerKeys = []string{
	"name", "kind", "plan", "key", "key_file", "key_in", "account", "url", "map", "proxy_from_env", "ca_file", "max_bytes", "abuse_from",
}

// providersFile is a providers file being read.
type providersFile struct {
	*document
	getenv func(string) string
	cuts   map[int]int // lines that may hold keys, and how many characters of each may be shown
}

var (
	providerName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,31}$`)
	variable     = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
)

// provider reads one item; before are those of the file so far.
func (d *providersFile) provider(item ast.Node, before []ProviderSpec) (s ProviderSpec, ok bool) {
	pairs, ok := d.Mapping(item, "a provider")
	if !ok {
		return s, false
	}
	if len(pairs) == 0 {
		d.At(item.GetToken(), "a provider is empty; it needs a kind, such as kind: ipinfo")
		return s, false
	}
	at, nameAt := pairs[0].Token, pairs[0].Token
	has := map[string]bool{}
	for _, p := range pairs {
		has[p.Key] = true
		switch p.Key {
		case "name":
			nameAt = yamldoc.Start(p.Value)
			s.Name = d.word(p)
			if s.Name != "" && !providerName.MatchString(s.Name) {
				d.At(p.Value.GetToken(), "name must be at most 32 of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit, such as ipinfo-core")
			}
		case "kind":
			s.Kind = d.word(p)
			d.oneOf(p, s.Kind, ProviderKinds())
		case "key":
			s.Key = d.key(p)
		case "key_file":
			s.Key = d.keyFile(p)
		case "key_in":
			s.KeyIn = d.word(p)
			d.oneOf(p, s.KeyIn, []string{"header", "bearer", "basic", "query"})
		case "account":
			s.Account = d.word(p)
			if m := variable.FindStringSubmatch(s.Account); m != nil {
				if s.Account = d.getenv(m[1]); s.Account == "" {
					d.At(p.Value.GetToken(), "the environment has no "+m[1])
				}
			}
		case "url":
			s.URL = d.word(p)
			if why := checkURL(s.URL); why != "" {
				d.At(p.Value.GetToken(), "url "+why)
			}
		case "plan":
			s.Plan = d.word(p)
		case "map":
			s.Map = d.word(p)
		case "ca_file":
			s.CAFile = d.word(p)
		case "proxy_from_env":
			s.ProxyFromEnv, _ = d.Boolean(p.Value, p.Key)
		case "max_bytes":
			s.MaxBytes, _ = d.Integer(p.Value, p.Key, 1<<10, 64<<20)
		case "abuse_from":
			n, _ := d.Integer(p.Value, p.Key, 1, 100)
			s.AbuseFrom = int(n)
		case "resolver", "ipv6_bits", "zones":
			if s.DNSBL == nil {
				s.DNSBL = &DNSBLSpec{}
			}
			d.dnsbl(s.DNSBL, p)
		default:
			if !d.asking(&s.Asking, p) {
				d.unknown(p, "a provider", slices.Concat(providerKeys, dnsblKeys, askingKeys))
			}
		}
	}
	switch {
	case !has["kind"]:
		d.At(at, "a provider needs a kind: one of "+strings.Join(ProviderKinds(), ", "))
	case s.Name == "" && !has["name"]:
		if s.Name = s.Kind; s.Kind == "generic" && providerName.MatchString(s.Map) {
			s.Name = s.Map // one that ships
		}
	}
	if has["abuse_from"] && s.Kind != "abuseipdb" {
		d.At(at, "abuse_from belongs to kind abuseipdb")
	}
	if has["key"] && has["key_file"] {
		d.At(at, "give either key or key_file, not both")
	}
	if has["zones"] != (s.Kind == "dnsbl") && has["kind"] {
		d.At(at, "zones belongs to kind dnsbl, which needs it, such as zones: [bl.blocklist.de]")
	}
	if has["map"] != (s.Kind == "generic") && has["kind"] {
		d.At(at, "map belongs to kind generic, which needs it: a map that ships, such as ip-api, or a file")
	}
	if i := slices.IndexFunc(before, func(b ProviderSpec) bool { return b.Name == s.Name }); i >= 0 && s.Name != "" {
		d.At(nameAt, fmt.Sprintf("there is a provider called %q already; give this one another name", s.Name))
	}
	return s, true
}

// word reads a text that is not empty.
func (d *providersFile) word(p yamldoc.Pair) string {
	s, ok := d.Text(p.Value, p.Key)
	if ok && strings.TrimSpace(s) == "" {
		d.At(p.Token, p.Key+" is empty; leave the line out")
	}
	return strings.TrimSpace(s)
}

func (d *providersFile) oneOf(p yamldoc.Pair, got string, allowed []string) {
	if got == "" || slices.Contains(allowed, got) {
		return
	}
	msg := fmt.Sprintf("there is no %s %q", p.Key, yamldoc.Clip(got, 64))
	if near := yamldoc.Nearest(got, allowed); near != "" {
		msg += fmt.Sprintf("; did you mean %q?", near)
	} else {
		msg += "; there are " + strings.Join(allowed, ", ")
	}
	d.At(p.Value.GetToken(), msg)
}

// checkURL says what is wrong with a base address or template.
func checkURL(s string) string {
	if s == "" {
		return ""
	}
	if path, ok := strings.CutPrefix(s, "unix:"); ok {
		if !strings.HasPrefix(path, "/") {
			return "of a Unix socket is unix: and an absolute path, such as unix:/run/ipwarden.sock"
		}
		return ""
	}
	u, err := url.Parse(strings.NewReplacer("{ip}", "ip", "{key}", "key").Replace(s))
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return "must be an http:// or https:// address, such as https://api.example.com"
	case u.User != nil:
		return "has a user name or password in it; give key or key_file instead"
	case u.Fragment != "":
		return "has a # part, which is never sent"
	}
	return ""
}

// key reads ${NAME}. A literal key is refused.
func (d *providersFile) key(p yamldoc.Pair) Secret {
	s, ok := d.Text(p.Value, "key")
	if !ok {
		return ""
	}
	m := variable.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		d.At(p.Value.GetToken(), "a key in this file is read by whoever reads the file or a copy of it; "+
			"write key: ${IPINFO_TOKEN} and put it into the environment, or key_file: /run/secrets/ipinfo")
		return ""
	}
	v := strings.TrimSpace(d.getenv(m[1]))
	if why := checkKey(v); why != "" {
		d.At(p.Value.GetToken(), "the environment's "+m[1]+" "+why)
	}
	return Secret(v)
}

// maxKey bounds a key, bytes.
const maxKey = 4 << 10

func (d *providersFile) keyFile(p yamldoc.Pair) Secret {
	name := d.word(p)
	if name == "" {
		return ""
	}
	f, err := os.Open(name)
	if err != nil {
		d.At(p.Value.GetToken(), "key_file cannot be read: "+err.Error())
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		d.At(p.Value.GetToken(), "key_file cannot be read: "+err.Error())
		return ""
	}
	v := strings.TrimSpace(string(b))
	if why := checkKey(v); why != "" {
		d.At(p.Value.GetToken(), "the key in "+name+" "+why)
	}
	return Secret(v)
}

// checkKey says what is wrong with a key, without showing it.
func checkKey(s string) string {
	switch {
	case s == "":
		return "is not set or is empty"
	case len(s) > maxKey:
		return fmt.Sprintf("is longer than %d bytes", maxKey)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return "holds spaces or characters that no key has"
	}
	return ""
}
