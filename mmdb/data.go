package mmdb

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// A Map is a record of a file, or a map within one. Values are string, bool,
// float64, uint16, uint32, uint64, int32, Map, []any of these.
type Map map[string]any

// Types of the format (MaxMind DB specification, "Data Field Format").
const (
	typePointer = 1
	typeString  = 2
	typeFloat64 = 3
	typeUint16  = 5
	typeUint32  = 6
	typeMap     = 7
	typeInt32   = 8
	typeUint64  = 9
	typeSlice   = 11
	typeBool    = 14
)

// data is the data section. Every value is known by its content: one that was
// written before is pointed at, so that a country's map or a name stands in the
// file once.
type data struct {
	out    []byte
	values []value
	ids    map[string]uint32 // content to index in values; 0 is none
	key    []byte            // scratch: the content of a leaf
	flat   bool              // no pointers: for the metadata
}

// value is one distinct value.
type value struct {
	control  byte // type
	leaf     string
	children []uint32 // of a map: key, value, key, value …; of a slice: its items
	offset   uint32   // 1 + where it was first written; 0 when it was not
}

// maxDepth bounds how deep maps may nest, as readers do.
const maxDepth = 16

func newData() *data {
	return &data{ids: map[string]uint32{}, values: make([]value, 1)}
}

// put writes v unless it is there already, and returns where it is.
func (d *data) put(v any) (uint32, error) {
	id, err := d.intern(v, 0)
	if err != nil {
		return 0, err
	}
	if d.values[id].offset == 0 {
		d.write(id)
	}
	return d.values[id].offset - 1, nil
}

// intern returns the number of a value, by its content.
func (d *data) intern(v any, depth int) (uint32, error) {
	if depth > maxDepth {
		return 0, fmt.Errorf("a record nests deeper than %d", maxDepth)
	}
	var children []uint32
	control := byte(0)
	switch v := v.(type) {
	case Map:
		control = typeMap
		children = make([]uint32, 0, 2*len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			k, err := d.intern(key, depth+1)
			if err != nil {
				return 0, err
			}
			id, err := d.intern(v[key], depth+1)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", key, err)
			}
			children = append(children, k, id)
		}
	case []any:
		control = typeSlice
		children = make([]uint32, 0, len(v))
		for i, item := range v {
			id, err := d.intern(item, depth+1)
			if err != nil {
				return 0, fmt.Errorf("[%d]: %w", i, err)
			}
			children = append(children, id)
		}
	default:
		return d.internLeaf(v)
	}
	if len(children) > maxSize {
		return 0, fmt.Errorf("a list or map of %d is too long", len(children))
	}
	d.key = append(d.key[:0], control)
	for _, id := range children {
		d.key = binary.BigEndian.AppendUint32(d.key, id)
	}
	return d.add(value{control: control, children: children}), nil
}

func (d *data) internLeaf(v any) (uint32, error) {
	key := d.key[:0]
	switch v := v.(type) {
	case string:
		if len(v) > maxSize/4 {
			return 0, fmt.Errorf("a text of %d bytes is too long", len(v))
		}
		key = append(append(key, typeString), strings.ToValidUTF8(v, "\ufffd")...)
	case bool:
		key = append(key, typeBool, 0)
		if v {
			key[1] = 1
		}
	case float64:
		key = binary.BigEndian.AppendUint64(append(key, typeFloat64), math.Float64bits(v))
	case uint16:
		key = appendUint(append(key, typeUint16), uint64(v))
	case uint32:
		key = appendUint(append(key, typeUint32), uint64(v))
	case uint64:
		key = appendUint(append(key, typeUint64), v)
	case int32:
		key = binary.BigEndian.AppendUint32(append(key, typeInt32), uint32(v))
	default:
		return 0, fmt.Errorf("a value of type %T has no place in a MaxMind DB file; string, bool, float64, uint16, uint32, uint64, int32, Map and []any have", v)
	}
	d.key = key
	return d.add(value{control: key[0]}), nil
}

// add returns the number of the value whose content is d.key.
func (d *data) add(v value) uint32 {
	if id, ok := d.ids[string(d.key)]; ok {
		return id
	}
	content := string(d.key)
	if v.children == nil {
		v.leaf = content[1:]
	}
	id := uint32(len(d.values))
	d.values = append(d.values, v)
	d.ids[content] = id
	return id
}

// appendUint appends n without leading zero bytes.
func appendUint(dst []byte, n uint64) []byte {
	for shift := 56; shift >= 0; shift -= 8 {
		if n>>shift != 0 {
			dst = append(dst, byte(n>>shift))
		}
	}
	return dst
}

// write appends the value, or a pointer to it when that is shorter.
func (d *data) write(id uint32) {
	v := &d.values[id]
	if v.offset != 0 && !d.flat && pointerLen(v.offset-1) < d.inlineLen(v) {
		d.pointer(v.offset - 1)
		return
	}
	if v.offset == 0 {
		v.offset = uint32(len(d.out)) + 1
	}
	switch v.control {
	case typeMap:
		d.control(typeMap, len(v.children)/2)
	case typeSlice:
		d.control(typeSlice, len(v.children))
	case typeBool:
		d.control(typeBool, int(v.leaf[0]))
	default:
		d.control(v.control, len(v.leaf))
		d.out = append(d.out, v.leaf...)
	}
	for _, child := range v.children {
		d.write(child)
	}
}

// inlineLen is the length of a value written out, or for containers something
// longer than a pointer when they are.
func (d *data) inlineLen(v *value) int {
	switch v.control {
	case typeBool:
		return 2
	case typeMap, typeSlice:
		if len(v.children) == 0 {
			return 2
		}
		return math.MaxInt
	}
	return 1 + len(v.leaf)
}

// Limits of the sizes in a control byte ("Payload Size").
const (
	size1 = 29
	size2 = size1 + 256
	size3 = size2 + 65536
)

// maxSize bounds what a control byte can say, in bytes or entries.
const maxSize = size3 + 1<<24 - 1

func (d *data) control(kind byte, n int) {
	first, extended := kind<<5, kind > 7
	if extended {
		first = 0
	}
	var more []byte
	switch {
	case n < size1:
		first |= byte(n)
	case n < size2:
		first |= 29
		more = []byte{byte(n - size1)}
	case n < size3:
		first |= 30
		more = []byte{byte((n - size2) >> 8), byte(n - size2)}
	default:
		first |= 31
		more = []byte{byte((n - size3) >> 16), byte((n - size3) >> 8), byte(n - size3)}
	}
	d.out = append(d.out, first)
	if extended {
		d.out = append(d.out, kind-7)
	}
	d.out = append(d.out, more...)
}

// Where the lengths of pointers change ("Pointers").
const (
	pointer2 = 1 << 11
	pointer3 = pointer2 + 1<<19
	pointer4 = pointer3 + 1<<27
)

func pointerLen(at uint32) int {
	switch {
	case at < pointer2:
		return 2
	case at < pointer3:
		return 3
	case at < pointer4:
		return 4
	}
	return 5
}

func (d *data) pointer(at uint32) {
	const kind = typePointer << 5
	switch pointerLen(at) {
	case 2:
		d.out = append(d.out, kind|byte(at>>8), byte(at))
	case 3:
		at -= pointer2
		d.out = append(d.out, kind|1<<3|byte(at>>16), byte(at>>8), byte(at))
	case 4:
		at -= pointer3
		d.out = append(d.out, kind|2<<3|byte(at>>24), byte(at>>16), byte(at>>8), byte(at))
	default:
		d.out = append(d.out, kind|3<<3, byte(at>>24), byte(at>>16), byte(at>>8), byte(at))
	}
}
