package mmdb

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"
)

// Options say what a file is.
type Options struct {
	// DatabaseType is what readers go by. Names that begin with GeoIP or
	// GeoLite are MaxMind's; programs that insist on them need one all the same.
	// Default: ipwarden.
	DatabaseType string
	// Description by language ("en"). The credits that licences ask for belong
	// here. At most 64 KiB in all. Default: the type, in English.
	Description map[string]string
	// Languages of the names in the records. Default: en.
	Languages []string
	// BuildTime is the date of the data, to the second, after 1970. It is
	// required: libmaxminddb refuses a file without one.
	BuildTime time.Time
	// IPVersion is 4, or 6 for both families. Default: 6.
	IPVersion int
}

// maxDescription bounds the descriptions: readers look for the metadata in the
// last 128 KiB of a file.
const maxDescription = 64 << 10

// A Writer makes a MaxMind DB file from records and from prefixes in ascending
// order, bottom-up: it holds the nodes (8 bytes each) and the distinct records,
// and never walks the tree to insert. The same input gives the same bytes. It
// is not safe for concurrent use.
type Writer struct {
	options Options
	data    *data
	nodes   nodes
	v4, v6  builder
	written bool
}

// NewWriter begins a file.
func NewWriter(o Options) (*Writer, error) {
	if o.IPVersion == 0 {
		o.IPVersion = 6
	}
	if o.DatabaseType == "" {
		o.DatabaseType = "ipwarden"
	}
	if len(o.Description) == 0 { // readers refuse a file without one
		o.Description = map[string]string{"en": o.DatabaseType}
	}
	if len(o.Languages) == 0 {
		o.Languages = []string{"en"}
	}
	size := len(o.DatabaseType)
	description := map[string]string{}
	for lang, s := range o.Description {
		description[lang] = s
		size += len(lang) + len(s)
	}
	o.Description, o.Languages = description, append([]string(nil), o.Languages...)
	for _, lang := range o.Languages {
		size += len(lang)
	}
	var errs []error
	if o.IPVersion != 4 && o.IPVersion != 6 {
		errs = append(errs, fmt.Errorf("mmdb: the IP version is %d; 4 and 6 exist", o.IPVersion))
	}
	if size > maxDescription {
		errs = append(errs, fmt.Errorf("mmdb: type, languages and descriptions have %d bytes; %d fit", size, maxDescription))
	}
	if o.BuildTime.Unix() <= 0 {
		errs = append(errs, fmt.Errorf("mmdb: the build time is %s; give the date of the data, after 1970", o.BuildTime.Format(time.DateOnly)))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	w := &Writer{options: o, data: newData()}
	w.v4.nodes, w.v6.nodes = &w.nodes, &w.nodes
	return w, nil
}

// A DataRef is a record that is in the file.
type DataRef uint32

// Put adds a record, or finds the same one, so that it can be given to any
// number of networks.
func (w *Writer) Put(record Map) (DataRef, error) {
	if w.written {
		return 0, errWritten
	}
	at, err := w.data.put(record)
	if err != nil {
		return 0, fmt.Errorf("mmdb: %w", err)
	}
	if len(w.data.out) >= maxData {
		return 0, fmt.Errorf("mmdb: the records have more than %d bytes", maxData)
	}
	return DataRef(at), nil
}

// Insert gives a record to the network p. It is Put and InsertRef in one.
func (w *Writer) Insert(p netip.Prefix, record Map) error {
	b, err := w.family(p) // first, so that a refused network leaves no record behind
	if err != nil {
		return err
	}
	if hidden(p) {
		return nil
	}
	at, err := w.Put(record)
	if err != nil {
		return err
	}
	b.insert(p, isData|ref(at))
	return nil
}

var errWritten = errors.New("mmdb: the file is written already")

// InsertRef gives a record to the network p. Within a family, networks must
// ascend and not overlap; the families may come in any order. In a file for
// both, the format keeps IPv4 at ::/96, and the forms that wrap it lead there:
// what IPv6 networks say of ::/96, ::ffff:0:0/96, 64:ff9b::/96 and 2002::/16 is
// dropped.
func (w *Writer) InsertRef(p netip.Prefix, record DataRef) error {
	b, err := w.family(p)
	if err != nil {
		return err
	}
	if uint32(record) >= uint32(len(w.data.out)) {
		return errors.New("mmdb: the record is not one of this Writer")
	}
	if !hidden(p) {
		b.insert(p, isData|ref(record))
	}
	return nil
}

// hidden reports whether a network lies where the tree leads to IPv4: its record
// would be in the file and never be found.
func hidden(p netip.Prefix) bool {
	if p.Addr().Is4() {
		return false
	}
	for _, place := range append([]netip.Prefix{ipv4Place}, ipv4Aliases...) {
		if place.Bits() <= p.Bits() && place.Contains(p.Addr()) {
			return true
		}
	}
	return false
}

// family returns the tree that a network belongs to, if it may come next there.
func (w *Writer) family(p netip.Prefix) (*builder, error) {
	b := &w.v6
	switch {
	case w.written:
		return nil, errWritten
	case !p.IsValid() || p != p.Masked():
		return nil, fmt.Errorf("mmdb: %s is no network", p)
	case p.Addr().Is4():
		b = &w.v4
	case w.options.IPVersion == 4:
		return nil, fmt.Errorf("mmdb: %s does not fit in a file for IPv4 alone", p)
	}
	if err := b.accepts(p); err != nil {
		return nil, fmt.Errorf("mmdb: %s: %w", p, err)
	}
	return b, nil
}

// Where IPv4 is found in the tree for both families: its place, and the
// wrappings that hold it bit for bit (RFC 4291, RFC 6052, RFC 3056). Teredo
// holds the client inverted, which a tree cannot say.
var (
	ipv4Place   = netip.MustParsePrefix("::/96")
	ipv4Aliases = []netip.Prefix{
		netip.MustParsePrefix("::ffff:0:0/96"),
		netip.MustParsePrefix("64:ff9b::/96"),
		netip.MustParsePrefix("2002::/16"),
	}
)

// WriteTo writes the file. A Writer writes once.
func (w *Writer) WriteTo(out io.Writer) (int64, error) {
	if w.written {
		return 0, errWritten
	}
	w.written = true
	root := w.tree()
	order, numbers := enumerate(&w.nodes, root)

	bits := 24
	switch top := uint64(len(order)) + 16 + uint64(len(w.data.out)); {
	case top >= 1<<32:
		return 0, fmt.Errorf("mmdb: %d nodes and %d bytes of records are more than the format can hold", len(order), len(w.data.out))
	case top >= 1<<28:
		bits = 32
	case top >= 1<<24:
		bits = 28
	}
	meta, err := w.metadata(len(order), bits)
	if err != nil {
		return 0, err
	}

	buffered := bufio.NewWriterSize(out, 1<<16)
	counted := &counter{w: buffered}
	count := uint32(len(order))
	value := func(r ref) uint32 {
		switch {
		case r == 0:
			return count // no data
		case r&isData != 0:
			return count + 16 + uint32(r&^isData)
		}
		return numbers[r-1]
	}
	var buf [8]byte
	for _, i := range order {
		pair := w.nodes.all[i]
		if _, err := counted.Write(appendNode(buf[:0], value(pair[0]), value(pair[1]), bits)); err != nil {
			return counted.n, fmt.Errorf("mmdb: writing the search tree: %w", err)
		}
	}
	var separator [16]byte
	for _, part := range [][]byte{separator[:], w.data.out, []byte("\xab\xcd\xefMaxMind.com"), meta} {
		if _, err := counted.Write(part); err != nil {
			return counted.n, fmt.Errorf("mmdb: writing the file: %w", err)
		}
	}
	if err := buffered.Flush(); err != nil {
		return counted.n, fmt.Errorf("mmdb: writing the file: %w", err)
	}
	return counted.n, nil
}

var _ io.WriterTo = (*Writer)(nil)

// tree joins the families; the result is a node, even of an empty file.
func (w *Writer) tree() ref {
	root := w.v4.root()
	if w.options.IPVersion == 6 {
		v4 := root
		root = w.nodes.graft(w.v6.root(), ipv4Place, v4)
		for _, p := range ipv4Aliases {
			root = w.nodes.graft(root, p, v4)
		}
	}
	if root == 0 || root&isData != 0 {
		w.nodes.all = append(w.nodes.all, node{root, root})
		root = ref(len(w.nodes.all))
	}
	return root
}

// enumerate gives the nodes below root their numbers, parents first; nodes that a
// graft cut off get none.
func enumerate(n *nodes, root ref) (order, numbers []uint32) {
	const none = 1<<32 - 1
	numbers = make([]uint32, len(n.all))
	for i := range numbers {
		numbers[i] = none
	}
	order = make([]uint32, 0, len(n.all))
	stack := []ref{root}
	for len(stack) > 0 {
		i := uint32(stack[len(stack)-1]) - 1
		stack = stack[:len(stack)-1]
		if numbers[i] != none { // the IPv4 tree, reached through an alias
			continue
		}
		numbers[i] = uint32(len(order))
		order = append(order, i)
		for _, side := range [2]ref{n.all[i][1], n.all[i][0]} {
			if side != 0 && side&isData == 0 {
				stack = append(stack, side)
			}
		}
	}
	return order, numbers
}

// appendNode appends two records of 24, 28 or 32 bits.
func appendNode(dst []byte, left, right uint32, bits int) []byte {
	switch bits {
	case 24:
		return append(dst, byte(left>>16), byte(left>>8), byte(left), byte(right>>16), byte(right>>8), byte(right))
	case 28:
		return append(dst, byte(left>>16), byte(left>>8), byte(left), byte(left>>20)&0xf0|byte(right>>24)&0xf, byte(right>>16), byte(right>>8), byte(right))
	}
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, left), right)
}

func (w *Writer) metadata(nodes, bits int) ([]byte, error) {
	description, languages := Map{}, []any{}
	for lang, s := range w.options.Description {
		description[lang] = s
	}
	for _, lang := range w.options.Languages {
		languages = append(languages, lang)
	}
	d := newData()
	d.flat = true
	_, err := d.put(Map{
		"binary_format_major_version": uint16(2),
		"binary_format_minor_version": uint16(0),
		"build_epoch":                 uint64(w.options.BuildTime.Unix()),
		"database_type":               w.options.DatabaseType,
		"description":                 description,
		"ip_version":                  uint16(w.options.IPVersion),
		"languages":                   languages,
		"node_count":                  uint32(nodes),
		"record_size":                 uint16(bits),
	})
	if err != nil {
		return nil, fmt.Errorf("mmdb: the metadata: %w", err)
	}
	return d.out, nil
}

// counter counts what is written.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}
