package feed

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// ASNamesJSON reads pyasn's asnames.json, one object of number to name:
//
//	{"15169": "GOOGLE - Google LLC, US", …}
//
// Facts: AS, ASName. Systems that are reserved or private have no name and
// yield nothing.
func ASNamesJSON(r io.Reader, meta *Meta) facts {
	return func(yield func(*Fact, error) bool) {
		if err := asNamesJSON(r, yield); err != nil {
			yield(nil, err)
		}
	}
}

// asNamesJSON returns what ends the file, unless the caller has broken off.
func asNamesJSON(r io.Reader, yield func(*Fact, error) bool) error {
	broken := func(err error) error {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return &FileError{Why: "the file is no whole JSON object of numbers and names", Cause: err}
	}
	br := bufio.NewReader(r)
	head, _ := br.Peek(512)
	if why := sniff(head); why != "" {
		return &FileError{Why: why}
	}
	if bytes.HasPrefix(head, bom) {
		br.Discard(len(bom))
	}
	dec := json.NewDecoder(br)
	if t, err := dec.Token(); err != nil {
		return broken(err)
	} else if t != json.Delim('{') {
		return broken(errors.New("it does not begin with {"))
	}
	var (
		f   Fact
		in  asNames
		raw json.RawMessage // its memory serves every entry
	)
	for entry := 1; dec.More(); entry++ {
		key, err := dec.Token()
		if err != nil {
			return broken(err)
		}
		k, ok := key.(string)
		if !ok {
			return broken(errors.New("a key is no string"))
		}
		if err := dec.Decode(&raw); err != nil {
			return broken(err)
		}
		var name loose
		why := ""
		if f.AS, ok = parseASN([]byte(k)); !ok {
			why = "this is no number of an autonomous system"
		} else if raw[0] != '"' || name.UnmarshalJSON(raw) != nil {
			why, k = "the name is no string", k+": "+string(raw[:min(len(raw), maxRow)])
		}
		if why != "" {
			if !yield(nil, rowError(entry, k, why)) {
				return nil
			}
			continue
		}
		f.ASName = in.name([]byte(name))
		if f.AS != 0 && f.ASName != "" && !yield(&f, nil) {
			return nil
		}
	}
	if _, err := dec.Token(); err != nil {
		return broken(err)
	}
	return nil
}

// ASNamesText reads RIPE's asn.txt: a number, a blank, and the same names as
// ASNamesJSON.
//
//	15169 GOOGLE, US
//
// Facts: AS, ASName.
func ASNamesText(r io.Reader, meta *Meta) facts {
	return readLines(r, "list of AS names", func(ls *lines) {
		var (
			f  Fact
			in asNames
		)
		for ls.next() {
			row := bytes.TrimSpace(ls.row)
			if len(row) == 0 || row[0] == '#' {
				continue
			}
			number, name := cutBlank(row)
			as, ok := parseASN(number)
			if !ok {
				ls.bad("want the number of an autonomous system, a blank and its name")
				continue
			}
			f.AS, f.ASName = as, in.name(name)
			if f.AS == 0 || f.ASName == "" {
				ls.good++
				continue
			}
			ls.fact(&f)
		}
	})
}

// ASNCSV reads a list of systems with names, as the lists of AS kinds and of
// bad systems are: a number and a name, with or without quotes, blanks and a
// header.
//
//	51447, "RootLayer Web Services Ltd, NL"
//
// Facts: AS, and ASName where there is a name: being in the list is the fact.
func ASNCSV(r io.Reader, meta *Meta) facts {
	return readLines(r, "CSV of autonomous systems", func(ls *lines) {
		var (
			f     Fact
			in    asNames
			cells [][]byte
			first = true
		)
		for ls.next() {
			row := bytes.TrimSpace(ls.row)
			if len(row) == 0 || row[0] == '#' {
				continue
			}
			cells = splitCSV(cells[:0], row, ',')
			header := first && !bytes.ContainsAny(cells[0], "0123456789")
			first = false
			if header {
				continue
			}
			as, ok := parseASN(cells[0])
			if !ok || as == 0 {
				ls.bad("this is no number of an autonomous system")
				continue
			}
			f.AS, f.ASName = as, ""
			if len(cells) > 1 {
				name := cells[1]
				if len(cells) > 2 { // a name with commas that nobody quoted
					name = row[bytes.IndexByte(row, ',')+1:]
				}
				f.ASName = in.name(name)
			}
			ls.fact(&f)
		}
	})
}

// ASNText reads a list of systems, one a line, whose comments are remarks and
// no names.
//
//	AS9009 # M247, GB (NordVPN)
//
// Facts: AS.
func ASNText(r io.Reader, meta *Meta) facts {
	return readLines(r, "list of autonomous systems", func(ls *lines) {
		var f Fact
		for ls.next() {
			row := ls.row
			if i := bytes.IndexAny(row, "#;"); i >= 0 {
				row = row[:i]
			}
			if row = bytes.TrimSpace(row); len(row) == 0 {
				continue
			}
			as, ok := parseASN(row)
			if !ok || as == 0 {
				ls.bad("this is no number of an autonomous system")
				continue
			}
			f.AS = as
			ls.fact(&f)
		}
	})
}

// cutBlank cuts at the first blank or tab.
func cutBlank(row []byte) (before, after []byte) {
	if i := bytes.IndexAny(row, " \t"); i >= 0 {
		return row[:i], row[i+1:]
	}
	return row, nil
}
