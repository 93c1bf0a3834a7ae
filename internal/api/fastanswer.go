package api

import (
	"net/http"
	"strconv"
	"time"
)

// The lines of a usual answer, JSON with an entity tag, are written as they are
// but for the values of two. Joining them up each time takes as long as the look-up.
// TestUsualLines holds them to what headers writes.
const (
	usualToCache = "Access-Control-Allow-Origin: *\r\nCache-Control: "
	usualToTag   = "\r\nContent-Type: application/json\r\nEtag: "
	usualToEnd   = "\r\nVary: Accept, Accept-Encoding\r\n"
)

// appendAnswer appends the answer as HTTP/1.1 carries it; x is finished, and no
// stream.
func (x *exchange) appendAnswer(dst []byte, date *dateLine, closing bool) []byte {
	if x.usual {
		dst = append(dst, "HTTP/1.1 200 OK\r\nDate: "...)
		dst = append(dst, date.text[:]...)
		dst = append(append(dst, usualToCache...), x.lines[1].value...)
		dst = append(append(dst, usualToTag...), x.lines[3].value...)
		dst = append(dst, usualToEnd...)
	} else {
		dst = x.appendLines(dst, date)
	}
	if x.status != http.StatusNotModified && x.status != http.StatusNoContent { // RFC 9110 section 8.6
		dst = strconv.AppendInt(append(dst, "Content-Length: "...), int64(len(x.payload)), 10)
		dst = append(dst, "\r\n"...)
	}
	if closing {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	return append(dst, x.payload...)
}

// appendLines appends the status line and the header lines.
func (x *exchange) appendLines(dst []byte, date *dateLine) []byte {
	dst = strconv.AppendInt(append(dst, "HTTP/1.1 "...), int64(x.status), 10)
	dst = append(append(dst, ' '), http.StatusText(x.status)...)
	dst = append(append(dst, "\r\nDate: "...), date.text[:]...)
	for i := range x.lines[:x.nLines] {
		l := &x.lines[i]
		dst = append(append(append(append(dst, l.name...), ": "...), l.value...), "\r\n"...)
	}
	return dst
}

// dateLine is the end of a Date line, for one second.
type dateLine struct {
	second int64
	text   [len(http.TimeFormat) + len("\r\n")]byte
}

// dateAt returns the end of a Date line (RFC 9110 section 6.6.1).
func (a *API) dateAt(now time.Time) *dateLine {
	second := now.Unix()
	if d := a.date.Load(); d != nil && d.second == second {
		return d
	}
	d := &dateLine{second: second}
	now.UTC().AppendFormat(d.text[:0], http.TimeFormat+"\r\n")
	a.date.Store(d) // two racing requests store equal lines
	return d
}
