package dialect

import (
	"bytes"
	"encoding/xml"
	"strconv"
	"strings"
)

// appendXML appends the answer as an XML document.
func (a *apiAnswer) appendXML(dst []byte, fields apiFields) []byte {
	dst = append(dst, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<query>\n"...)
	for fields != 0 {
		f := fields.next()
		v, ok := a.value(f)
		if !ok || v.kind == apiNone {
			continue
		}
		name := apiKeys[f].name
		dst = append(append(append(dst, "  <"...), name...), '>')
		dst = appendXMLText(dst, string(v.appendPlain(nil, a)))
		dst = append(append(append(dst, "</"...), name...), ">\n"...)
	}
	return append(dst, "</query>\n"...)
}

func appendXMLText(dst []byte, s string) []byte {
	b := bytes.NewBuffer(dst)
	if err := xml.EscapeText(b, []byte(s)); err != nil {
		return dst // cannot be: a buffer takes everything
	}
	return b.Bytes()
}

// appendRow appends the values alone: with commas between them as a line of CSV,
// or each on a line. A value that is not known is empty, so that the others keep
// their places.
func (a *apiAnswer) appendRow(dst []byte, fields apiFields, sep byte) []byte {
	first := true
	for fields != 0 {
		v, ok := a.value(fields.next())
		if !ok {
			continue
		}
		if !first {
			dst = append(dst, sep)
		}
		first = false
		from := len(dst)
		dst = v.appendPlain(dst, a)
		if sep == ',' {
			dst = quoteCSV(dst, from)
		} else {
			oneLine(dst[from:])
		}
	}
	return append(dst, '\n')
}

// quoteCSV puts the last value between marks if it needs them (RFC 4180 section 2).
func quoteCSV(dst []byte, from int) []byte {
	v := string(dst[from:])
	if !strings.ContainsAny(v, ",\"\r\n") {
		return dst
	}
	dst = append(dst[:from], '"')
	dst = append(dst, strings.ReplaceAll(v, `"`, `""`)...)
	return append(dst, '"')
}

// oneLine keeps a value from beginning another line.
func oneLine(b []byte) {
	for i, c := range b {
		if c < ' ' {
			b[i] = ' '
		}
	}
}

// appendPHP appends the answer as PHP's serialize writes an array.
func (a *apiAnswer) appendPHP(dst []byte, fields apiFields) []byte {
	n := 0
	for s := fields; s != 0; {
		if v, ok := a.value(s.next()); ok && v.kind != apiNone {
			n++
		}
	}
	dst = append(strconv.AppendInt(append(dst, "a:"...), int64(n), 10), ":{"...)
	for fields != 0 {
		f := fields.next()
		v, ok := a.value(f)
		if !ok || v.kind == apiNone {
			continue
		}
		dst = appendPHPString(dst, apiKeys[f].name)
		switch v.kind {
		case apiFloat:
			dst = append(appendDegrees(append(dst, "d:"...), v.f), ';')
		case apiInt:
			dst = append(strconv.AppendInt(append(dst, "i:"...), v.n, 10), ';')
		case apiBool:
			dst = append(strconv.AppendInt(append(dst, "b:"...), v.n, 10), ';')
		default:
			dst = appendPHPString(dst, string(v.appendPlain(nil, a)))
		}
	}
	return append(dst, '}')
}

func appendPHPString(dst []byte, s string) []byte {
	dst = strconv.AppendInt(append(dst, "s:"...), int64(len(s)), 10)
	dst = append(append(dst, `:"`...), s...)
	return append(dst, `";`...)
}

// appendHuman appends JSON for a terminal: indented, and with colours.
func (a *apiAnswer) appendHuman(dst []byte, fields apiFields) []byte {
	const key, str, other, plain = "\x1b[34m", "\x1b[32m", "\x1b[33m", "\x1b[0m"
	dst = append(dst, '{')
	first := true
	for fields != 0 {
		f := fields.next()
		v, ok := a.value(f)
		if !ok || v.kind == apiNone {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		name := apiKeys[f].name
		dst = append(append(dst, "\n  "+key+"\""...), name...)
		dst = append(dst, '"')
		dst = append(dst, plain...)
		dst = append(dst, "             "[min(len(name), 13):]...)
		dst = append(dst, ": "...)
		colour := str
		switch v.kind {
		case apiFloat, apiInt, apiBool:
			colour = other
		}
		dst = a.appendJSONValue(append(dst, colour...), v)
		dst = append(dst, plain...)
	}
	return append(dst, "\n}\n"...)
}
