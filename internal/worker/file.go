package worker

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
)

// A File is a configuration, checked.
type File struct {
	Input       End
	Outputs     []End // in the order of the file
	Dead        End
	To          []string
	Rules       []Rule
	Paths       Paths
	Fields      ipwarden.Fields
	Member      string
	AsOf        bool // of the event
	ExactlyOnce bool
	MaxBytes    int
	Batch       Bound
	Drain       time.Duration
}

// MaxFile is how large a configuration may be.
const MaxFile = 1 << 20

// isName says whether s may name an output or a rule.
func isName(s string) bool {
	return s != "" && len(s) <= 41 && s[0] >= 'a' && s[0] <= 'z' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

// reader reads a configuration.
type reader struct {
	*yamldoc.Document
	kinds []Kind
	f     *File
	// What names outputs, to be looked up when all are known.
	named []named
}

type named struct {
	name string
	at   ast.Node
}

// ReadFile reads a configuration. The error lists every mistake in it with line and
// column.
func ReadFile(r io.Reader, name string, kinds []Kind) (*File, error) {
	doc, body := yamldoc.Parse(r, name, MaxFile)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	rd := &reader{Document: doc, kinds: kinds, f: &File{MaxBytes: 1 << 20, Batch: Bound{1000, 8 << 20}, Drain: 20 * time.Second, Member: "ipwarden"}}
	rd.file(body)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return rd.f, nil
}

var fileKeys = []string{"input", "event", "outputs", "to", "rules", "dead_letters", "fields", "as", "as_of", "exactly_once", "max_bytes", "batch", "batch_bytes", "drain"}

func (r *reader) file(body ast.Node) {
	pairs, ok := r.Mapping(body, "the configuration")
	if !ok {
		return
	}
	f, seen := r.f, map[string]yamldoc.Pair{}
	for _, p := range pairs {
		if r.twice(seen, p) {
			continue
		}
		switch p.Key {
		case "input":
			f.Input, _ = r.end(p.Value, "input", In)
		case "event":
			r.paths(p.Value)
		case "outputs":
			r.outputs(p.Value)
		case "to":
			f.To = r.names(p.Value, "to")
		case "rules":
			r.rules(p.Value)
		case "dead_letters":
			f.Dead, _ = r.end(p.Value, "dead_letters", Out)
		case "fields":
			if text, ok := r.Text(p.Value, p.Key); ok {
				fields, err := ipwarden.ParseFields(text)
				if err != nil {
					r.At(yamldoc.Start(p.Value), err.Error())
				}
				f.Fields = fields
			}
		case "as":
			if text, ok := r.Text(p.Value, p.Key); ok {
				if f.Member = text; text == "" || len(text) > 100 {
					r.At(yamldoc.Start(p.Value), "as is the name of the member that is added, of 1 to 100 bytes, such as ipwarden")
				}
			}
		case "as_of":
			text, ok := r.Text(p.Value, p.Key)
			if ok && text != "event" && text != "now" {
				r.At(yamldoc.Start(p.Value), "as_of is event, to answer from the dataset of the time of each event, or now")
			}
			f.AsOf = text == "event"
		case "exactly_once":
			f.ExactlyOnce, _ = r.Boolean(p.Value, p.Key)
		case "max_bytes":
			f.MaxBytes = int(r.size(p, 256, 64<<20, "1MiB"))
		case "batch":
			n, _ := r.Integer(p.Value, p.Key, 1, 100_000)
			f.Batch.Messages = int(n)
		case "batch_bytes":
			f.Batch.Bytes = int(r.size(p, 64<<10, 256<<20, "8MiB"))
		case "drain":
			if text, ok := r.Text(p.Value, p.Key); ok {
				d, err := time.ParseDuration(text)
				if err != nil || d < 0 || d > 10*time.Minute {
					r.At(yamldoc.Start(p.Value), "drain is how long what was read may take to be written at the end, 0s to 10m, such as 20s")
				}
				f.Drain = d
			}
		default:
			r.UnknownKey(p, "the configuration", fileKeys)
		}
	}
	for key, example := range map[string]string{
		"input":        "input: {nats: {url: nats://127.0.0.1:4222, stream: LOGINS, consumer: ipwarden}}",
		"outputs":      "outputs: {enriched: {nats: {url: nats://127.0.0.1:4222, subject: enriched.logins}}}",
		"dead_letters": "dead_letters: {file: {path: dead.jsonl}}",
	} {
		if _, ok := seen[key]; !ok {
			r.Whole("has no " + key + "; it has one such as\n    " + example)
		}
	}
	for _, n := range r.named {
		if !slices.ContainsFunc(f.Outputs, func(e End) bool { return e.Name == n.name }) {
			r.At(yamldoc.Start(n.at), fmt.Sprintf("there is no output %q; outputs has %s", n.name, r.outputNames()))
		}
	}
	if _, ok := seen["to"]; !ok {
		rules := slices.ContainsFunc(f.Rules, func(x Rule) bool { return len(x.To) > 0 })
		switch {
		case len(f.Outputs) == 1 && !rules:
			f.To = []string{f.Outputs[0].Name}
		case !rules && len(f.Outputs) > 1:
			r.Whole("has several outputs and does not say which events go to; such as to: [" + f.Outputs[0].Name + "]")
		}
	}
	if f.ExactlyOnce {
		r.exactlyOnce(seen["exactly_once"].Value)
	}
}

// exactlyOnce says what keeps a configuration from being so.
func (r *reader) exactlyOnce(at ast.Node) {
	for _, e := range append(slices.Clone(r.f.Outputs), r.f.Dead) {
		if r.f.Input.Kind == "kafka" && e.Kind == "kafka" && e.Text("url") == r.f.Input.Text("url") && e.Text("user") == r.f.Input.Text("user") {
			continue
		}
		r.At(yamldoc.Start(at), "exactly_once takes Kafka at both ends: the input, all outputs and dead_letters are of one cluster. Otherwise events come out at least once, and those that come twice have one id")
		return
	}
}

func (r *reader) twice(seen map[string]yamldoc.Pair, p yamldoc.Pair) bool {
	if _, ok := seen[p.Key]; ok {
		r.At(p.Token, p.Key+" is there twice")
		return true
	}
	seen[p.Key] = p
	return false
}

func (r *reader) size(p yamldoc.Pair, low, high int64, example string) int64 {
	text, ok := r.Text(p.Value, p.Key)
	if !ok {
		return 0
	}
	k := Key{Shape: Size, Low: low, High: high, Example: example}
	if wrong := k.checkText(text); wrong != "" {
		r.At(yamldoc.Start(p.Value), p.Key+" "+wrong)
	}
	n, _ := parseSize(text)
	return n
}

func (r *reader) paths(n ast.Node) {
	pairs, _ := r.Mapping(n, "event")
	seen := map[string]yamldoc.Pair{}
	for _, p := range pairs {
		if r.twice(seen, p) {
			continue
		}
		to := map[string]*enrich.Path{"ip": &r.f.Paths.IP, "id": &r.f.Paths.ID, "key": &r.f.Paths.Key, "time": &r.f.Paths.Time}[p.Key]
		if to == nil {
			r.UnknownKey(p, "event", []string{"ip", "id", "key", "time"})
			continue
		}
		if text, ok := r.Text(p.Value, "event."+p.Key); ok {
			if *to = enrich.ParsePath(text); text == "" || len(text) > 500 || slices.Contains(*to, "") {
				r.At(yamldoc.Start(p.Value), "event."+p.Key+" is the path of a member, such as client.ip")
			}
		}
	}
}
