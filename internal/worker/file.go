package worker

import (
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/enrich"
	"github.com/ipwarden/ipwarden/internal/yamldoc"
	"github.com/ipwarden/ipwarden/policy/compile"
)

// An End is an input or an output of a file.
type End struct {
	Name string // of an output
	Values
	kind *Kind
}

// OpenInput opens it for reading.
func (e *End) OpenInput() (Input, error) { return e.kind.Input(e.Values) }

// OpenOutput opens it for writing.
func (e *End) OpenOutput() (Output, error) { return e.kind.Output(e.Values) }

// OpenBack opens an input for putting events back; nil when its kind cannot.
func (e *End) OpenBack() (Output, error) {
	if e.kind.Back == nil {
		return nil, nil
	}
	return e.kind.Back(e.Values)
}

// OpenDead opens an output for reading dead letters; nil when its kind cannot.
func (e *End) OpenDead() (Input, error) {
	if e.kind.Dead == nil {
		return nil, nil
	}
	return e.kind.Dead(e.Values)
}

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

func (r *reader) outputNames() string {
	var names []string
	for _, e := range r.f.Outputs {
		names = append(names, e.Name)
	}
	sort.Strings(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
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

// names are those of outputs.
func (r *reader) names(n ast.Node, what string) (all []string) {
	for _, item := range r.Sequence(n, what) {
		if text, ok := r.Text(item, what); ok {
			if slices.Contains(all, text) {
				r.At(yamldoc.Start(item), what+" has "+text+" twice")
				continue
			}
			all, r.named = append(all, text), append(r.named, named{text, item})
		}
	}
	return all
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

func (r *reader) outputs(n ast.Node) {
	pairs, _ := r.Mapping(n, "outputs")
	seen := map[string]yamldoc.Pair{}
	for _, p := range pairs {
		if r.twice(seen, p) {
			continue
		}
		if !isName(p.Key) {
			r.At(p.Token, fmt.Sprintf("%q is no name of an output: small letters, digits, _ and -, such as review", p.Key))
		}
		if p.Key == "dead_letters" {
			r.At(p.Token, "dead_letters stands beside outputs, not among them")
			continue
		}
		e, _ := r.end(p.Value, "outputs."+p.Key, Out)
		e.Name = p.Key
		r.f.Outputs = append(r.f.Outputs, e)
	}
	if len(r.f.Outputs) > 50 {
		r.At(yamldoc.Start(n), "outputs has more than 50")
	}
}

// end is an input or an output: one key that says its kind.
func (r *reader) end(n ast.Node, what string, side Side) (End, bool) {
	pairs, ok := r.Mapping(n, what)
	if !ok {
		return End{}, false
	}
	var kinds []string
	for i := range r.kinds {
		if side == In && r.kinds[i].Input != nil || side == Out && r.kinds[i].Output != nil {
			kinds = append(kinds, r.kinds[i].Name)
		}
	}
	if len(pairs) != 1 {
		r.At(yamldoc.Start(n), what+" is of one kind, a key with what belongs to it below; the kinds are "+strings.Join(kinds, ", "))
		return End{}, false
	}
	if !slices.Contains(kinds, pairs[0].Key) {
		r.UnknownKey(pairs[0], what, kinds)
		return End{}, false
	}
	kind := &r.kinds[slices.IndexFunc(r.kinds, func(k Kind) bool { return k.Name == pairs[0].Key })]
	e := End{kind: kind, Values: Values{Kind: kind.Name, texts: map[string]string{}, lists: map[string][]string{}}}
	before := r.Count()
	r.values(pairs[0], what+"."+kind.Name, kind, side, &e.Values)
	if r.Count() == before && kind.Check != nil {
		if err := kind.Check(e.Values, side); err != nil {
			r.At(pairs[0].Token, what+"."+kind.Name+": "+err.Error())
		}
	}
	return e, true
}

// values reads the keys of a kind.
func (r *reader) values(of yamldoc.Pair, what string, kind *Kind, side Side, v *Values) {
	pairs, _ := r.Mapping(of.Value, what)
	seen := map[string]yamldoc.Pair{}
	var known []string
	for i := range kind.Keys {
		if k := &kind.Keys[i]; k.on(side) {
			known = append(known, k.Name)
			if k.Default != "" {
				v.texts[k.Name] = k.Default
			}
		}
	}
	for _, p := range pairs {
		if r.twice(seen, p) {
			continue
		}
		i := slices.IndexFunc(kind.Keys, func(k Key) bool { return k.Name == p.Key && k.on(side) })
		if i < 0 {
			r.UnknownKey(p, what, known)
			continue
		}
		r.value(&kind.Keys[i], p, what+"."+p.Key, v)
	}
	for i := range kind.Keys {
		k := &kind.Keys[i]
		if _, ok := seen[k.Name]; !ok && k.on(side) && k.Needed {
			r.At(of.Token, fmt.Sprintf("%s has no %s, which it needs; such as %s: %s", what, k.Name, k.Name, k.Example))
		}
	}
}

func (k *Key) on(side Side) bool { return k.Side == 0 || k.Side&side != 0 }

// value reads one key.
func (r *reader) value(k *Key, p yamldoc.Pair, what string, v *Values) {
	switch k.Shape {
	case Truth:
		if yes, ok := r.Boolean(p.Value, what); ok {
			v.texts[k.Name] = fmt.Sprint(yes)
		}
	case List:
		for _, item := range r.Sequence(p.Value, what) {
			if text, ok := r.Text(item, what); ok {
				if strings.TrimSpace(text) == "" {
					r.At(yamldoc.Start(item), what+" has an empty item")
				}
				v.lists[k.Name] = append(v.lists[k.Name], text)
			}
		}
		if k.Needed && len(v.lists[k.Name]) == 0 {
			r.At(p.Token, what+" is empty; it is a list such as "+k.Example)
		}
	default:
		text, ok := r.Text(p.Value, what)
		if !ok {
			return
		}
		if wrong := k.checkText(text); wrong != "" {
			r.At(yamldoc.Start(p.Value), what+" "+wrong)
			return
		}
		v.texts[k.Name] = text
	}
}

var ruleKeys = []string{"name", "when", "to", "emit", "instead"}

func (r *reader) rules(n ast.Node) {
	items := r.Sequence(n, "rules")
	if len(items) > maxRules {
		r.At(yamldoc.Start(n), fmt.Sprintf("there are more than %d rules", maxRules))
		return
	}
	names := map[string]bool{}
	for _, item := range items {
		pairs, ok := r.Mapping(item, "a rule")
		if !ok {
			continue
		}
		var rule Rule
		seen := map[string]yamldoc.Pair{}
		for _, p := range pairs {
			if r.twice(seen, p) {
				continue
			}
			switch p.Key {
			case "name":
				rule.Name, _ = r.Text(p.Value, p.Key)
				if !isName(rule.Name) || names[rule.Name] {
					r.At(yamldoc.Start(p.Value), "the name of a rule is its own, of small letters, digits, _ and -, such as tor-login")
				}
				names[rule.Name] = true
			case "when":
				text, ok := r.Text(p.Value, p.Key)
				if !ok {
					continue
				}
				when, err := compile.NewEventFilter(text)
				if err != nil {
					for line := range strings.Lines(err.Error()) {
						r.At(yamldoc.Start(p.Value), "when: "+strings.TrimSpace(line))
					}
				}
				rule.When = when
			case "to":
				rule.To = r.names(p.Value, p.Key)
			case "emit":
				rule.Emit, _ = r.Text(p.Value, p.Key)
				if rule.Emit == "" || len(rule.Emit) > 200 {
					r.At(yamldoc.Start(p.Value), "emit is the type of an event that is made, such as flag_user")
				}
			case "instead":
				rule.Instead, _ = r.Boolean(p.Value, p.Key)
			default:
				r.UnknownKey(p, "a rule", ruleKeys)
			}
		}
		for _, key := range []string{"name", "when"} {
			if _, ok := seen[key]; !ok {
				r.At(yamldoc.Start(item), "a rule has no "+key+"; it is like {name: tor-login, when: ip.security.is_tor, to: [review]}")
			}
		}
		if rule.Emit != "" && len(rule.To) == 0 {
			r.At(yamldoc.Start(item), "a rule that makes an event says where it goes: to")
		}
		r.f.Rules = append(r.f.Rules, rule)
	}
}
