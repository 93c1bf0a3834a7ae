package enrich

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// names of columns and members that hold a client's address, the likeliest first.
var names = []string{
	"ip", "client_ip", "clientip", "client-ip", "ip_address", "ipaddress", "remote_addr", "remote_ip", "remoteip", "source_ip", "src_ip",
	"srcip", "sourceip", "user_ip", "addr", "address", "c-ip", "client_addr", "client", "src", "host", "request.client_ip", "request.remote_ip",
	"client.ip", "source.ip", "user.ip", "httpRequest.remoteIp", "sourceIPAddress", "query",
}

// detect finds out what the rows look like from the first of them. head is the
// beginning of the file; s says what is known already.
func detect(head []byte, s *Stream) (Layout, error) {
	head = bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))
	l := Layout{Format: s.Format}
	line := firstLine(head)
	if l.Format == Auto {
		l.Format = formatOf(line, s)
	}
	switch l.Format {
	case CSV, TSV:
		return l, l.detectColumn(head, s)
	case JSON:
		return l, l.detectPath(line, s)
	case List, Log, VHost, HAProxy, Text:
		if s.Column != "" {
			return l, fmt.Errorf("rows of the format %s have no columns; %q is for csv, tsv and jsonl", l.Format, s.Column)
		}
		return l, nil
	}
	return l, fmt.Errorf("there is no format %q", l.Format)
}

// firstLine is the first line that is not empty and no comment.
func firstLine(head []byte) []byte {
	for len(head) > 0 {
		line, rest, _ := bytes.Cut(head, []byte("\n"))
		if t := bytes.TrimSpace(line); len(t) > 0 && t[0] != '#' {
			return bytes.TrimSuffix(line, []byte("\r"))
		}
		head = rest
	}
	return nil
}

func isAddress(b []byte) bool {
	_, reason := parse(text(bytes.TrimSpace(b)))
	return reason == ""
}

func formatOf(line []byte, s *Stream) Format {
	name := strings.ToLower(s.Name)
	for _, end := range []string{".gz", ".zst", ".zstd"} {
		name = strings.TrimSuffix(name, end)
	}
	switch {
	case strings.HasSuffix(name, ".csv"):
		return CSV
	case strings.HasSuffix(name, ".tsv"):
		return TSV
	case strings.HasSuffix(name, ".jsonl"), strings.HasSuffix(name, ".ndjson"):
		return JSON
	}
	trimmed := bytes.TrimSpace(line)
	first, rest, _ := bytes.Cut(trimmed, []byte(" "))
	second, _, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case len(trimmed) == 0:
		return List
	case trimmed[0] == '{':
		return JSON
	case isAddress(trimmed):
		return List
	case isAddress(first) && bytes.Contains(rest, []byte(" [")):
		return Log
	case isAddress(second) && bytes.Contains(rest, []byte(" [")):
		return VHost
	}
	if _, _, ok := haproxyAddress(line); ok {
		return HAProxy
	}
	for _, f := range []Format{TSV, CSV} {
		l := Layout{Format: f}
		if bytes.IndexByte(line, l.comma()) >= 0 && l.detectColumn(line, s) == nil {
			return f
		}
	}
	if isAddress(first) {
		return List
	}
	return Text
}

// detectColumn finds the column of the address, and whether the first line names
// the columns.
func (l *Layout) detectColumn(head []byte, s *Stream) error {
	rec := csvRecord(head, l.comma(), l.Format == CSV, true)
	if rec.n == 0 && len(head) > 0 || rec.bad {
		return fmt.Errorf("the quotes of the first line do not match: %s", clip(string(firstLine(head))))
	}
	fields := splitFields(nil, head[:rec.end], l.comma(), l.Format == CSV)
	header := true
	column := -1
	for i, f := range fields {
		if isAddress(f) {
			header = false
			if column < 0 {
				column = i
			}
		}
	}
	if header {
		column = -1
		for _, f := range fields {
			l.Columns = append(l.Columns, strings.TrimSpace(string(f)))
		}
		for _, n := range names {
			if column = slices.IndexFunc(l.Columns, func(c string) bool { return strings.EqualFold(c, n) }); column >= 0 {
				break
			}
		}
	}
	if s.Column != "" {
		column = slices.Index(l.Columns, s.Column)
		if n, err := strconv.Atoi(s.Column); column < 0 && err == nil && n >= 1 && n <= len(fields) {
			column = n - 1
		}
		if column < 0 {
			return fmt.Errorf("there is no column %q; %s", s.Column, l.known(len(fields)))
		}
	}
	if column < 0 {
		return fmt.Errorf("which column holds the address cannot be told; name it: %s", l.known(len(fields)))
	}
	l.Column, l.Width = column, len(fields)
	return nil
}

func (l *Layout) known(n int) string {
	if len(l.Columns) > 0 {
		return clip("there are " + strings.Join(l.Columns, ", "))
	}
	return fmt.Sprintf("there are the columns 1 to %d", n)
}

// detectPath finds the member of the address.
func (l *Layout) detectPath(line []byte, s *Stream) error {
	if s.Column != "" {
		l.Path = splitPath(s.Column)
		return nil
	}
	if json.Valid(line) {
		for _, n := range names {
			p := splitPath(n)
			if m := findMember(line, p, ""); m.reason == "" && isAddress(m.value) {
				l.Path = p
				return nil
			}
		}
	}
	return fmt.Errorf("which member holds the address cannot be told; name its path, such as client.ip: %s", clip(string(line)))
}

// splitPath cuts a path at its dots; a dot that is part of a name has a backslash
// before it.
func splitPath(s string) []string {
	var path []string
	var part []byte
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			part = append(part, s[i])
		case s[i] == '.':
			path, part = append(path, string(part)), nil
		default:
			part = append(part, s[i])
		}
	}
	return append(path, string(part))
}

func clip(s string) string {
	const most = 200
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
