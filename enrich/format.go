package enrich

// A Format is how rows are written.
type Format string

// The formats.
const (
	Auto    Format = ""        // found out from the first rows
	List    Format = "list"    // an address a line; what follows it is kept
	CSV     Format = "csv"     // RFC 4180
	TSV     Format = "tsv"     // between tabs, without quotes
	JSON    Format = "jsonl"   // an object a line; Caddy's access log is one
	Log     Format = "log"     // an access log whose lines begin with the client: common, combined, nginx's
	VHost   Format = "vhost"   // the same after the name of the host, as Apache's vhost_combined
	HAProxy Format = "haproxy" // its HTTP and TCP logs, after what syslog puts before
	Text    Format = "text"    // any text, in which every address is found
)

// Formats lists them, for flags.
func Formats() []Format { return []Format{List, CSV, TSV, JSON, Log, VHost, HAProxy, Text} }

// An Output is how results are written.
type Output string

// The outputs.
const (
	Same    Output = ""      // as the rows were, with fields added
	AsJSON  Output = "jsonl" // an object a row
	AsCSV   Output = "csv"
	Nothing Output = "none" // rows are only counted
)

// A Layout is what the rows of a file look like. It can be kept, to go on with a
// file in its middle.
type Layout struct {
	Format Format `json:"format"`
	// Column is where the address stands in CSV and TSV, from 0.
	Column int `json:"column,omitempty"`
	// Columns are the names in the first line; none when it is a row already.
	Columns []string `json:"columns,omitempty"`
	// Width is how many columns a row has.
	Width int `json:"width,omitempty"`
	// Path leads to the address in a JSON object.
	Path []string `json:"path,omitempty"`
}

func (l *Layout) comma() byte {
	if l.Format == TSV {
		return '\t'
	}
	return ','
}
