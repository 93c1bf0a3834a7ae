package api

import (
	"net/http"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden"
)

// dataset answers GET /v1/dataset: what the answers rest on.
func (x *exchange) dataset() *problem {
	o, p := x.options(paramFormat)
	if p != nil {
		return p
	}
	f, p := x.choose(o.format, offerAnswer)
	if p != nil {
		return p
	}
	if x.st.data == nil {
		return noData()
	}
	x.cache = cachePolicy{maxAge: hour} // a swap is noticed within the hour
	if f == formatCSV {
		x.out = append(x.out[:0], "name,title,date,licence,attribution,homepage,rows,skipped\r\n"...)
		for i := range x.st.info.Feeds {
			x.out = appendFeedRow(x.out, &x.st.info.Feeds[i])
		}
	} else {
		x.document(f, appendInfo(nil, &x.st.info))
	}
	x.ok(f)
	return nil
}

func appendInfo(dst []byte, in *Info) []byte {
	dst = append(dst, '{')
	if !in.Date.IsZero() {
		dst = in.Date.UTC().AppendFormat(append(dst, `"date":"`...), time.DateOnly)
		dst = append(dst, `",`...)
	}
	dst = ipwarden.AppendString(append(dst, `"hash":`...), in.Hash)
	dst = strconv.AppendInt(append(dst, `,"size":`...), in.Size, 10)
	dst = strconv.AppendInt(append(dst, `,"counts":{"networks_v4":`...), in.NetworksV4, 10)
	dst = strconv.AppendInt(append(dst, `,"networks_v6":`...), in.NetworksV6, 10)
	dst = strconv.AppendInt(append(dst, `,"records":`...), in.Records, 10)
	dst = strconv.AppendInt(append(dst, `,"autonomous_systems":`...), in.ASes, 10)
	dst = append(dst, `},"feeds":[`...)
	for i := range in.Feeds {
		if i > 0 {
			dst = append(dst, ',')
		}
		f := &in.Feeds[i]
		dst = ipwarden.AppendString(append(dst, `{"name":`...), f.Name)
		for _, kv := range [...][2]string{
			{`,"title":`, f.Title},
			{`,"date":`, dateOnly(f.Date)},
			{`,"licence":`, f.Licence},
			{`,"attribution":`, f.Attribution},
			{`,"homepage":`, f.Homepage},
		} {
			if kv[1] != "" {
				dst = ipwarden.AppendString(append(dst, kv[0]...), kv[1])
			}
		}
		dst = strconv.AppendInt(append(dst, `,"rows":`...), f.Rows, 10)
		dst = strconv.AppendInt(append(dst, `,"skipped":`...), f.Skipped, 10)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

func appendFeedRow(dst []byte, f *Feed) []byte {
	for _, s := range [...]string{f.Name, f.Title, dateOnly(f.Date), f.Licence, f.Attribution, f.Homepage} {
		dst = append(appendCSVText(dst, s), ',')
	}
	dst = append(strconv.AppendInt(dst, f.Rows, 10), ',')
	return append(strconv.AppendInt(dst, f.Skipped, 10), '\r', '\n')
}

func dateOnly(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateOnly)
}

// health answers GET /healthz: the process runs and answers.
func (x *exchange) health() *problem {
	x.cache = neverKept
	x.out = append(x.out[:0], "ok\n"...)
	x.ok(formatText)
	return nil
}

// ready answers GET /readyz: send requests here. It says no while there is no
// data, and from the moment the server was told to stop.
func (x *exchange) ready() *problem {
	switch {
	case x.api.draining.Load():
		return &problem{
			status: http.StatusServiceUnavailable, slug: "stopping", title: "Stopping",
			detail: "The server was told to stop. It finishes what it has accepted.", example: "GET /readyz",
		}
	case x.st.data == nil:
		return noData()
	}
	x.cache = neverKept
	x.out = append(x.out[:0], "ready\n"...)
	if x.api.cfg.Parts != nil {
		for _, p := range x.api.cfg.Parts() {
			x.out = p.append(x.out)
		}
	}
	if x.api.cfg.Impaired != nil {
		for _, line := range x.api.cfg.Impaired() {
			x.out = append(append(x.out, line...), '\n')
		}
	}
	x.ok(formatText)
	return nil
}
