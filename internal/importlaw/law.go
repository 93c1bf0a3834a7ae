// Package importlaw holds what each public package may link, and why. Its test
// compares that with what the packages link; run it with -count=1, because the
// answer can change without a file of this package changing.
package importlaw

// Module is the path of this module.
const Module = "github.com/ipwarden/ipwarden"

// A Rule is what one public package may link, tests aside.
type Rule struct {
	Package string // below the module; "" is its root
	// Project and Modules are what it may link: packages of the project, and
	// modules of others.
	Project, Modules []string
	// Without lists packages of the standard library that it must not link.
	Without []string
	Why     string
}

// What a program for an edge platform has no room for, and what answering who
// an address is has no business with.
var (
	heavy  = []string{"fmt", "encoding/json", "net", "net/http", "os", "text/template", "html/template"}
	server = []string{"net/http", "text/template", "html/template", "os/exec", "database/sql"}
)

// Rules returns the law. A public package that is not in it is a breach.
func Rules() []Rule {
	return []Rule{
		{
			Package: "", Without: heavy,
			Why: "the words: whoever uses any part links them, so they link nothing",
		},
		{
			Package: "risk", Project: []string{""}, Without: heavy,
			Why: "pure, and small enough for the edge",
		},
		{
			Package: "limit", Without: heavy,
			Why: "counts in memory: small enough for the edge, and on the way of every request",
		},
		{
			Package: "policy", Project: []string{""}, Without: heavy,
			Why: "decides on every request, and small enough for the edge: YAML and CEL are its compiler's",
		},
		{
			Package: "policy/compile",
			Project: []string{"", "feed", "internal/overlayfile", "internal/yamldoc", "overlay", "policy", "risk"},
			Modules: []string{
				"cel.dev/cel-go", "cel.dev/expr", "github.com/antlr4-go/antlr/v4", "go.yaml.in/yaml/v3", "golang.org/x/exp",
				"google.golang.org/genproto/googleapis/api", "google.golang.org/genproto/googleapis/rpc", "google.golang.org/protobuf",
				"github.com/goccy/go-yaml", "github.com/gaissmai/bart", "golang.org/x/text",
			},
			Without: []string{"os/exec", "database/sql"},
			Why:     "a policy is YAML and CEL (the first eight modules); lists are read from feeds, and tests lay facts over an address as an overlay does",
		},
		{
			Package: "examples", Without: server,
			Why: "bytes",
		},
		{
			Package: "clientip", Project: []string{""}, Without: heavy,
			Why: "addresses out of bytes that anybody may send: small enough to read, and for the edge",
		},
		{
			Package: "gate", Project: []string{"", "clientip", "limit", "policy", "risk"},
			Without: []string{"encoding/json", "os/exec", "database/sql"},
			Why:     "the decision, and net/http round it: the policy's compiler, stores and providers come from outside",
		},
		{
			Package: "gate/ban", Project: []string{"", "policy"}, Modules: []string{"github.com/gaissmai/bart"},
			Without: []string{"net/http", "os/exec", "database/sql"},
			Why:     "a table of prefixes, which bart is, in the policy's word; its file is JSON",
		},
		{
			Package: "gate/challenge", Project: []string{"", "limit", "policy"},
			Without: []string{"os/exec", "database/sql"},
			Why:     "a page, its cookies, and a CAPTCHA's operator that is asked over HTTP",
		},
		{
			Package: "gate/crawler", Project: []string{"", "policy"},
			Without: []string{"encoding/json", "net/http", "os/exec", "database/sql"},
			Why:     "asks DNS through net, and says it in the policy's word",
		},
		{
			Package: "dnsbl", Project: []string{""},
			Modules: []string{"github.com/miekg/dns", "golang.org/x/net", "golang.org/x/sys"},
			Without: []string{"net/http", "html/template", "os/exec", "database/sql"},
			Why:     "DNS messages are read by the library that reads them best",
		},
		{
			Package: "overlay", Project: []string{""}, Modules: []string{"github.com/gaissmai/bart"}, Without: server,
			Why: "a table of prefixes, which bart is",
		},
		{
			Package: "source", Project: []string{""},
			Modules: []string{"github.com/maypok86/otter/v2", "github.com/failsafe-go/failsafe-go", "github.com/bits-and-blooms/bitset"},
			Without: server,
			Why:     "otter is the memory of the cache, failsafe-go its breakers, which count in a bitset",
		},
		{
			Package: "feed", Project: []string{""}, Modules: []string{"golang.org/x/text"}, Without: server,
			Why: "bytes in, facts out: it fetches nothing; x/text folds the names of places and names languages in themselves",
		},
		{
			Package: "feed/catalogue", Project: []string{"", "feed", "internal/yamldoc"},
			Modules: []string{"github.com/goccy/go-yaml", "golang.org/x/text"}, Without: server,
			Why: "the catalogue is YAML, with the line and column of each mistake",
		},
		{
			Package: "dataset", Project: []string{"", "feed"},
			Modules: []string{"github.com/klauspost/compress", "golang.org/x/text"}, Without: server,
			Why: "who imports it to look addresses up links no server; it builds from feeds, and packs the evidence",
		},
		{
			Package: "mmdb", Project: []string{"", "feed"},
			Modules: []string{"github.com/oschwald/maxminddb-golang/v2", "golang.org/x/sys", "golang.org/x/text"}, Without: server,
			Why: "reads with the library that reads the format best; writes by itself",
		},
		{
			Package: "embedded", Without: server,
			Why: "bytes and their licence",
		},
		{
			Package: "provider", Project: []string{"", "internal/yamldoc"}, Modules: []string{"github.com/goccy/go-yaml"},
			Without: []string{"os/exec", "database/sql", "html/template"},
			Why:     "asks outside APIs over net/http; a vendor without code is a map in YAML, with the line and column of each mistake",
		},
		{
			Package: "client", Project: []string{""}, Without: []string{"os/exec", "database/sql", "html/template"},
			Why: "asks another ipwarden over net/http; the words are the root's",
		},
		{
			Package: "redis", Project: []string{"", "gate/ban", "limit", "policy", "source"},
			Modules: []string{
				"github.com/redis/rueidis", "golang.org/x/sys",
				"github.com/gaissmai/bart", "github.com/maypok86/otter/v2", "github.com/failsafe-go/failsafe-go", "github.com/bits-and-blooms/bitset",
			},
			Without: []string{"net/http", "html/template", "os/exec", "database/sql"},
			Why:     "the client of Redis and Valkey that pipelines, and knows sentinels and clusters; limit and gate/ban, whose contracts it keeps, do without it",
		},
		{
			Package: "memcached", Project: []string{"", "source"},
			Modules: []string{
				"github.com/bradfitz/gomemcache",
				"github.com/maypok86/otter/v2", "github.com/failsafe-go/failsafe-go", "github.com/bits-and-blooms/bitset",
			},
			Without: []string{"net/http", "html/template", "os/exec", "database/sql"},
			Why:     "the client of Memcached, and the contract that it keeps",
		},
		{
			Package: "enrich", Project: []string{"", "clientip", "internal/iptext", "risk"},
			Without: []string{"net", "net/http", "html/template", "os/exec", "database/sql"},
			Why:     "reads and writes streams that are given: files, packers and the language of conditions come from outside",
		},
		{
			Package: "ipwardentest", Project: []string{"", "limit", "source"},
			Modules: []string{
				"github.com/maypok86/otter/v2", "github.com/failsafe-go/failsafe-go", "github.com/bits-and-blooms/bitset",
			},
			Without: server,
			Why:     "fakes and suites for the tests of others; source has the contract of a Store",
		},
	}
}

// OnlyCommand lists what nothing but cmd may import: the embedded dataset is
// 24 MB in every binary that has it.
func OnlyCommand() []string { return []string{"embedded"} }

// NotInProgram lists what the program must not link, and why. What a package makes
// before main is made by every command.
func NotInProgram() map[string]string {
	const sdk = "the clients of AWS's SDK build their schemas and endpoints before main: 0.7 MB and 1 ms together; internal/sqs asks by itself"
	const sign = "signing on with AWS takes three more of its clients; credential_process does the same"
	return map[string]string{
		"github.com/aws/aws-sdk-go-v2/service/sqs":     sdk,
		"github.com/aws/aws-sdk-go-v2/service/sts":     sdk,
		"github.com/aws/aws-sdk-go-v2/service/sso":     sdk,
		"github.com/aws/aws-sdk-go-v2/service/ssooidc": sdk,
		"github.com/aws/aws-sdk-go-v2/config":          sign,
	}
}
