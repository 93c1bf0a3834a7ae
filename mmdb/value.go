package mmdb

import (
	"math"
	"strconv"
	"strings"

	"github.com/oschwald/maxminddb-golang/v2/mmdbdata"
)

// Vendors write the same value as text, number or boolean, and change their
// minds. These types take what can be understood and pass over the rest; bytes
// that are no value at all stay an error.

// text takes a string, or a whole number as its digits.
type text string

// UnmarshalMaxMindDBCursor reads one value.
func (t *text) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	switch kind {
	case mmdbdata.KindString:
		s, next, err := c.ReadStringMaxSize(maxText)
		if err != nil { // too long for any field we know, or broken: Skip tells which
			return c.Skip()
		}
		*t = text(strings.ToValidUTF8(s, "\ufffd"))
		return next, nil
	case mmdbdata.KindUint16, mmdbdata.KindUint32, mmdbdata.KindUint64:
		n, next, err := c.ReadUint()
		*t = text(strconv.FormatUint(n, 10))
		return next, err
	}
	return c.Skip()
}

// maxText bounds a string that is taken from a file, in bytes.
const maxText = 1 << 10

// flag takes a boolean, or the texts "true" and "1".
type flag bool

// UnmarshalMaxMindDBCursor reads one value.
func (f *flag) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	if kind == mmdbdata.KindBool {
		b, next, err := c.ReadBool()
		*f = flag(b)
		return next, err
	}
	var t text
	next, err := t.UnmarshalMaxMindDBCursor(c)
	*f = t == "true" || t == "1"
	return next, err
}

// number takes a number of any kind, or one as text, "AS13335" among them.
type number struct {
	is bool
	v  float64
}

// UnmarshalMaxMindDBCursor reads one value.
func (n *number) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil {
		return c, err
	}
	switch kind {
	case mmdbdata.KindFloat32, mmdbdata.KindFloat64:
		v, next, err := c.ReadFloat()
		*n = number{err == nil && !math.IsNaN(v) && !math.IsInf(v, 0), v}
		return next, err
	case mmdbdata.KindInt32:
		v, next, err := c.ReadInt32()
		*n = number{err == nil, float64(v)}
		return next, err
	}
	var t text
	next, err := t.UnmarshalMaxMindDBCursor(c)
	if err != nil {
		return next, err
	}
	if v, err := strconv.ParseFloat(strings.TrimPrefix(string(t), "AS"), 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
		*n = number{true, v}
	}
	return next, nil
}

// uint returns the number as a whole one up to limit, 0 when it is none.
func (n number) uint(limit float64) uint32 {
	if !n.is || n.v < 0 || n.v > limit {
		return 0
	}
	return uint32(n.v)
}

// shape takes the keys of a map, and whether each one's value is a map itself.
type shape map[string]bool

// maxKeys bounds the keys that are looked at.
const maxKeys = 64

// UnmarshalMaxMindDBCursor reads one value.
func (s *shape) UnmarshalMaxMindDBCursor(c mmdbdata.Cursor) (mmdbdata.Cursor, error) {
	kind, err := c.Kind()
	if err != nil || kind != mmdbdata.KindMap {
		return c.Skip()
	}
	entries, err := c.Map()
	if err != nil {
		return c, err
	}
	*s = shape{}
	var next mmdbdata.Cursor
	for {
		key, at, more := entries.Next(next)
		if !more {
			return entries.End()
		}
		kind, err := at.Kind()
		if err != nil {
			return c, err
		}
		if len(key) <= maxText && len(*s) < maxKeys {
			(*s)[strings.ToValidUTF8(string(key), "\ufffd")] = kind == mmdbdata.KindMap
		}
		if next, err = at.Skip(); err != nil {
			return c, err
		}
	}
}
