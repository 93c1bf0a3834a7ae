package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
)

// The least of HAProxy's agent protocol (SPOE.txt, section 3) that works: an
// agent that reads no message and says the same of every request.

// Types of frames (section 3.2.2).
const (
	spopHello      = 1
	spopDisconnect = 2
	spopNotify     = 3
	spopAgentHello = 101
	spopAck        = 103
)

// spopWelcome is the LIST of an AGENT-HELLO: names and typed values.
const spopWelcome = "\x07version\x08\x032.0" + "\x0emax-frame-size\x03\xfc\xf0\x06" + "\x0ccapabilities\x08\x0apipelining"

// spopAllow sets the variable txn.ipwarden.verdict to "allow".
const spopAllow = "\x01\x03\x02\x07verdict\x08\x05allow"

// serveSPOPMain is the trivial agent.
func serveSPOPMain(args []string) error {
	if len(args) != 1 {
		return errors.New("want ADDR")
	}
	ln, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	for {
		c, err := ln.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			_ = serveSPOP(c) // HAProxy goes when it likes
		}()
	}
}

// serveSPOP answers frames, those that came together with one write.
func serveSPOP(c io.ReadWriter) error {
	in, out := bufio.NewReaderSize(c, 64<<10), bufio.NewWriterSize(c, 64<<10)
	for {
		frame, err := spopFrame(in)
		if err != nil {
			return err
		}
		switch frame[0] {
		case spopHello:
			err = spopWrite(out, spopAgentHello, []byte{0, 0}, spopWelcome)
		case spopNotify:
			// The numbers of the stream and of the frame go back as they came.
			ids := frame[5:]
			n := spopVarint(ids)
			n += spopVarint(ids[min(n, len(ids)):])
			if n > len(ids) {
				return errSPOP
			}
			err = spopWrite(out, spopAck, ids[:n], spopAllow)
		case spopDisconnect:
			return nil
		}
		if err == nil && in.Buffered() == 0 {
			err = out.Flush()
		}
		if err != nil {
			return err
		}
	}
}

var errSPOP = errors.New("that is no frame")

// spopFrame returns the next frame without its length. It holds until the next.
func spopFrame(in *bufio.Reader) ([]byte, error) {
	head, err := in.Peek(4)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(head))
	if n < 7 || n+4 > in.Size() {
		return nil, fmt.Errorf("%w: %d bytes", errSPOP, n)
	}
	frame, err := in.Peek(4 + n)
	if err != nil {
		return nil, err
	}
	_, err = in.Discard(4 + n)
	return frame[4:], err
}

func spopWrite(out *bufio.Writer, kind byte, ids []byte, payload string) error {
	head := [9]byte{4: kind, 8: 1} // FIN
	binary.BigEndian.PutUint32(head[:], uint32(5+len(ids)+len(payload)))
	_, err1 := out.Write(head[:])
	_, err2 := out.Write(ids)
	_, err3 := out.WriteString(payload)
	return errors.Join(err1, err2, err3)
}

// spopVarint is how many bytes the number takes that b begins with; more than b
// has when it is cut off (section 3.1).
func spopVarint(b []byte) int {
	if len(b) == 0 {
		return 1
	}
	if b[0] < 240 {
		return 1
	}
	n := 1
	for n < len(b) && b[n] >= 128 {
		n++
	}
	return n + 1
}
