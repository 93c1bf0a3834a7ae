package spoa

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The types of frames (section 3.2.2).
const (
	frameUnset                  = 0 // a later fragment
	frameHello                  = 1
	frameDisconnect             = 2
	frameNotify                 = 3
	frameAgentHello             = 101
	frameAgentDisconnect        = 102
	frameAck                    = 103
	flagFin              uint32 = 1
)

// The reasons for a disconnection (section 3.5).
const (
	statusNormal        = 0
	statusTimeout       = 2
	statusTooBig        = 3
	statusInvalid       = 4
	statusNoVersion     = 5
	statusNoMaxFrame    = 6
	statusNoCapability  = 7
	statusVersion       = 8
	statusMaxFrame      = 9
	statusFragmentation = 10
	statusUnknown       = 99
)

// A breach is what the other side did wrong, and is told before the connection
// ends.
type breach struct {
	status uint64
	text   string
}

func (b *breach) Error() string { return fmt.Sprintf("%s (SPOP status %d)", b.text, b.status) }

// invalid is the breach of a frame that cannot be read.
func invalid(err error) *breach {
	if b := (*breach)(nil); errors.As(err, &b) {
		return b
	}
	return &breach{statusInvalid, err.Error()}
}

const (
	lengthSize = 4
	// minFrame is a type, four bytes of flags, and two numbers.
	minFrame = 7
	// leastMax is what either side must be able to take (section 3.2).
	leastMax = 256
)

// A frame is one frame without its length. Its payload is part of the buffer.
type frame struct {
	kind       byte
	flags      uint32
	stream, id uint64
	payload    []byte
}

// nextFrame reads the first frame of b, which may be at most limit bytes long
// without its length. size is what it takes of b; 0 when it is not there whole.
func nextFrame(b []byte, limit int) (f frame, size int, err error) {
	if len(b) < lengthSize {
		return f, 0, nil
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(limit) {
		return f, 0, &breach{statusTooBig, fmt.Sprintf("a frame of %d bytes; %d were agreed", n, limit)}
	}
	if n < minFrame {
		return f, 0, &breach{statusInvalid, fmt.Sprintf("a frame of %d bytes", n)}
	}
	size = lengthSize + int(n)
	if len(b) < size {
		return f, 0, nil
	}
	b = b[lengthSize:size:size]
	f.kind, f.flags = b[0], binary.BigEndian.Uint32(b[1:])
	if f.stream, b, err = varint(b[5:]); err == nil {
		f.id, f.payload, err = varint(b)
	}
	if err != nil {
		return f, 0, invalid(err)
	}
	// What we did not announce must not come (section 3.2.1).
	if f.kind == frameUnset || f.kind == frameNotify && f.flags&flagFin == 0 {
		return f, 0, &breach{statusFragmentation, "a fragment: this agent does not announce fragmentation"}
	}
	return f, size, nil
}

// beginFrame appends all of a frame that comes before its payload; endFrame
// sets its length, once the payload is there. at is where the frame begins.
func beginFrame(b []byte, kind byte, stream, id uint64) (_ []byte, at int) {
	at = len(b)
	b = append(b, 0, 0, 0, 0, kind, 0, 0, 0, byte(flagFin))
	return appendVarint(appendVarint(b, stream), id), at
}

func endFrame(b []byte, at int) []byte {
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-lengthSize))
	return b
}
