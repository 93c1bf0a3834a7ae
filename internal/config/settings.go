package config

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// Settings is the configuration file: the settings that it names, as the text
// that the flag of the same name would take. What a value may be is the flag's
// business; that it is of the right shape is checked here.
type Settings struct {
	File   string // "" when there is none
	values map[string]string
}

// Files are where the configuration file is looked for when --config does not
// name one; the first that exists is read, and none is no error.
var Files = [...]string{"ipwarden.yaml", "/etc/ipwarden/ipwarden.yaml"}

// shape of a setting.
type shape uint8

const (
	text shape = iota
	number
	list
	truth
)

// known is every setting there is.
var known = map[string]shape{
	"data_dir":         text, // where datasets, feeds and overlays live
	"dataset":          text, // file to answer from
	"index":            text, // auto, compact or flat
	"overlay":          list, // files
	"catalogue":        text, // file that changes the catalogue of feeds
	"listen":           text, // address of the HTTP API
	"fast_listen":      text, // address of the fast listener
	"admin_listen":     text, // address of metrics and pprof
	"service_listen":   text, // where the application behind the gateway tells outcomes
	"dialects":         list, // other vendors' wire formats, by host name and prefix
	"dialect_tls_cert": text,
	"dialect_tls_key":  text,
	"dialect_listen":   list,   // NAME=ADDR: listeners of one dialect each
	"keep":             number, // datasets that stay after an update
	"max_moved":        number, // share of the address space an update may move
	"public_url":       text,   // where people reach the server
	"log_format":       text,   // text or json
	"log_level":        text,   // debug, info, warn or error

	"policy":                      text,   // file to decide by
	"trusted_proxies":             list,   // networks
	"client_ip_header":            text,   // in which the proxies tell the client
	"trusted_hops":                number, // proxies in front, instead of their networks
	"behind":                      text,   // preset of a proxy
	"dangerously_trust_all":       truth,  // believe whoever connects
	"service_token_file":          text,   // who has the token may ask the gate
	"server":                      text,   // the gate that ban speaks to
	"decision_log":                text,   // file, or -
	"decision_log_sample":         number, // in a thousand, of what is allowed
	"decision_log_rate":           number, // lines a second at most
	"decision_log_full_addresses": truth,  //
	"challenge_key_file":          text,   // signs clearances
	"challenge_secure":            truth,  // clearances over HTTPS alone
	"captcha":                     text,   // turnstile, hcaptcha, or a URL
	"captcha_site_key":            text,   //
	"captcha_secret_file":         text,   //
	"captcha_from":                number, // risk from which it is asked for
	"upstream":                    text,   // the application behind the gateway
	"upstream_host":               text,   // the Host that it sees
	"upstream_wait":               text,   // how long it may take
	"tls_cert":                    text,   //
	"tls_key":                     text,   //
	"upgrade":                     list,   // protocols that clients may switch to
	"keep_overrides":              truth,  //
	"max_body":                    number, // bytes
	"proxy_protocol":              list,   // balancers that send a PROXY header
	"redis":                       text,   // URL of the store that limits share
	"limit_mode":                  text,   // exact or fast
	"limit_budget":                text,   // how long a decision waits for the store
	"limit_keys":                  number, // counted at once
	"outcome_window":              text,   // how long any node takes an outcome
	"verdict_lease":               text,   // how long an answer of /v1/decide may be used again
	"limited_verdict_lease":       text,   // one that a limit was charged for
	"limit_seed_file":             text,   // keys the counts that nodes share
	"crawler_dns":                 truth,  // verify crawlers by DNS too
	"crawler_dns_server":          text,   // which is asked about them
	"enrich":                      list,   // headers for the application
	"older_rate_limit_headers":    truth,  //
	"rate_limit_on_refusals":      truth,  //
	"spoa_listen":                 text,   // address of HAProxy's agent protocol
	"outcome_listen":              text,   // socket of nginx's access log
	"extauthz_listen":             text,   // address of Envoy's external authorization

	"accounts":  truth, // answer to keys
	"anonymous": text,  // plan or off: calls without a key
	"region":    text,  // name of this one

	"usage_listen":        text,   // where other regions read the usage of this one
	"usage_region":        list,   // NAME=URL of other regions
	"usage_stream":        text,   // URL of NATS or Kafka
	"usage_user":          text,   //
	"usage_password_file": text,   //
	"usage_tls_cert":      text,   //
	"usage_tls_key":       text,   //
	"usage_tls_ca":        text,   //
	"usage_no_leases":     truth,  // another server of the region gives them
	"usage_redis":         text,   // URL of counts by client and by page
	"usage_clients":       number, // counted by themselves each day

	"providers":       text, // file of providers to ask
	"cache":           text, // URL of the store that their answers are shared through
	"cache_seed_file": text, // keys and signs what is shared

	"worker_config": text, // where events of queues come from and go to

	"sentry_dsn_file":    text, // where errors are reported to
	"sentry_environment": text, //

	"admin": text, // the admin listener that shield suggest asks

	"smtp":               text,   // URL of the server that takes mail
	"smtp_password_file": text,   //
	"mail_from":          text,   // who writes
	"sign_up":            text,   // open or closed
	"sign_up_plan":       text,   // of who signs up
	"site_name":          text,   // in letters and pages
	"disposable_mail":    text,   // file of domains, builtin or off
	"account_policy":     text,   // file, in front of signing up and in
	"password_hashes":    number, // at once
	"mail_keys_in_clear": truth,  // the first key of an account

	"accounts_url": text, // PostgreSQL with the accounts, instead of a file
}

// Get returns the setting that the flag called name ("data-dir") stands for.
func (s *Settings) Get(name string) (string, bool) {
	if s == nil {
		return "", false
	}
	v, ok := s.values[strings.ReplaceAll(name, "-", "_")]
	return v, ok
}

// LoadSettings reads the file called name, or the first of Files when name is
// "". The error is Mistakes, or says that the named file cannot be opened.
func LoadSettings(name string) (*Settings, error) {
	candidates := Files[:]
	if name != "" {
		candidates = []string{name}
	}
	for _, c := range candidates {
		f, err := os.Open(c)
		if errors.Is(err, fs.ErrNotExist) && name == "" {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		d, body := parse(f, c)
		s := d.settings(body)
		if err := d.Err(); err != nil {
			return nil, err
		}
		return s, nil
	}
	return &Settings{}, nil
}

func (d *document) settings(body ast.Node) *Settings {
	s := &Settings{File: d.File(), values: map[string]string{}}
	pairs, _ := d.Mapping(body, "the configuration")
	for _, p := range pairs {
		sh, ok := known[p.Key]
		if !ok {
			d.UnknownKey(p, "the configuration", Names())
			continue
		}
		switch sh {
		case text:
			if v, ok := d.Text(p.Value, p.Key); ok {
				s.values[p.Key] = v
			}
		case number:
			if _, ok := d.Number(p.Value, p.Key, 0, 1e9); ok {
				s.values[p.Key] = p.Value.GetToken().Value
			}
		case truth:
			if v, ok := d.Boolean(p.Value, p.Key); ok {
				s.values[p.Key] = strconv.FormatBool(v)
			}
		case list:
			// One item is as good as a list of it: as the flag takes it.
			items, several := []string(nil), []ast.Node{p.Value}
			if !isText(p.Value) {
				several = d.Sequence(p.Value, p.Key)
			}
			for _, item := range several {
				if v, ok := d.Text(item, p.Key); ok {
					items = append(items, v)
				}
			}
			s.values[p.Key] = strings.Join(items, ",")
		}
	}
	return s
}

func isText(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode:
		return true
	}
	return false
}

// Names lists the settings, in alphabetical order.
func Names() []string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}
