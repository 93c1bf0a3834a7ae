package worker

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Sides of a kind.
type Side uint8

// Where a kind, or a key of it, can stand.
const (
	In Side = 1 << iota
	Out
	Both = In | Out
)

// A Shape is what a value looks like.
type Shape uint8

// The shapes.
const (
	Text Shape = iota
	List
	Number
	Size // bytes: 512KiB, 8MiB
	Duration
	Truth
	URL     // of one of the Key's Words as its scheme
	Address // to listen on
	Word    // one of the Key's Words
	Secret  // the name of a file with a secret in it, which is read when it is needed
)

// A Key is what can be said of a kind.
type Key struct {
	Name      string
	Side      Side // zero is Both
	Shape     Shape
	Needed    bool
	Default   string
	Words     []string
	Low, High int64
	Example   string
}

// A Kind is a technology that events come from, or go to.
type Kind struct {
	Name   string
	Keys   []Key
	Input  func(Values) (Input, error)  // nil: it is none
	Output func(Values) (Output, error) // nil: it is none
	// Back opens an input's values for putting events back, by their Origin; and Dead
	// opens an output's for reading the dead letters that are there. Nil: it cannot.
	Back func(Values) (Output, error)
	Dead func(Values) (Input, error)
	// Check finds what single keys do not show; nil: there is nothing.
	Check func(Values, Side) error
}

// Values are what a configuration says of a kind, checked; of what it does not say,
// the defaults.
type Values struct {
	Kind  string
	texts map[string]string
	lists map[string][]string
}

// Text is a value as it is written; "" when it is not there.
func (v Values) Text(key string) string { return v.texts[key] }

// List is a list.
func (v Values) List(key string) []string { return v.lists[key] }

// Int is a number, or a size in bytes.
func (v Values) Int(key string) int64 {
	if n, err := strconv.ParseInt(v.texts[key], 10, 64); err == nil {
		return n
	}
	n, _ := parseSize(v.texts[key])
	return n
}

// Duration is a time.
func (v Values) Duration(key string) time.Duration {
	d, _ := time.ParseDuration(v.texts[key])
	return d
}

// Truth is true or false.
func (v Values) Truth(key string) bool { return v.texts[key] == "true" }

// Secret is what stands in the file of a key; "" without one.
func (v Values) Secret(key string) (string, error) {
	name := v.texts[key]
	if name == "" {
		return "", nil
	}
	const most = 64 << 10
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, most+1)
	n, _ := f.Read(b)
	text := strings.TrimSpace(string(b[:n]))
	if text == "" || n > most {
		return "", fmt.Errorf("%s: %s must hold a secret of 1 to %d bytes", key, name, most)
	}
	return text, nil
}

// checkText says what is wrong with a value, "" for nothing.
func (k *Key) checkText(text string) string {
	example := ""
	if k.Example != "" {
		example = ", such as " + k.Example
	}
	switch k.Shape {
	case Text, Secret:
		if strings.TrimSpace(text) == "" {
			return "is empty; it is a text" + example
		}
		if len(text) > 4096 {
			return "is longer than 4096 bytes"
		}
	case Word:
		if !slices.Contains(k.Words, text) {
			return "is one of " + strings.Join(k.Words, ", ")
		}
	case Number:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < k.Low || n > k.High {
			return fmt.Sprintf("is a whole number from %d to %d", k.Low, k.High)
		}
	case Size:
		n, ok := parseSize(text)
		if !ok || n < k.Low || n > k.High {
			return fmt.Sprintf("is a number of bytes from %s to %s, such as %s", sizeText(k.Low), sizeText(k.High), k.Example)
		}
	case Duration:
		d, err := time.ParseDuration(text)
		if err != nil || int64(d) < k.Low || int64(d) > k.High {
			return fmt.Sprintf("is a time from %v to %v%s", time.Duration(k.Low), time.Duration(k.High), example)
		}
	case Address:
		if _, port, err := net.SplitHostPort(text); err != nil || port == "" {
			return "is an address to listen on" + example
		}
	case URL:
		first, _, _ := strings.Cut(text, ",") // several hosts are for the kind to read
		u, err := url.Parse(first)
		if err != nil { // whose text shows the password
			return "cannot be read as a URL" + example
		}
		if !slices.Contains(k.Words, u.Scheme) || u.Host == "" && u.Path == "" {
			return "is a URL that begins with " + strings.Join(k.Words, ":// or ") + "://" + example
		}
	}
	return ""
}

var sizes = []struct {
	unit string
	n    int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"B", 1}}

func parseSize(text string) (int64, bool) {
	factor := int64(1)
	for _, s := range sizes {
		if rest, ok := strings.CutSuffix(text, s.unit); ok {
			text, factor = strings.TrimSpace(rest), s.n
			break
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > 1<<40/factor {
		return 0, false
	}
	return n * factor, true
}

func sizeText(n int64) string {
	for _, s := range []int{2, 1, 0} {
		if f := sizes[s].n; n >= f && n%f == 0 {
			return strconv.FormatInt(n/f, 10) + sizes[s].unit
		}
	}
	return strconv.FormatInt(n, 10)
}
