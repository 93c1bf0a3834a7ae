package spoa

import (
	"fmt"
	"strings"
)

// version is what the agent speaks.
const version = "2.0"

// A hello is what the two sides agreed on.
type hello struct {
	maxFrame    int
	pipelining  bool
	healthcheck bool
}

// parseHello reads the payload of a HAPROXY-HELLO (section 3.2.4) and agrees to
// frames of at most limit bytes. The error is a *breach.
func parseHello(b []byte, limit int) (h hello, err error) {
	var versions, capabilities string
	var size uint64
	var hasVersion, hasSize, hasCapabilities bool
	for len(b) > 0 {
		var name []byte
		var d datum
		if name, b, err = bytesOf(b); err != nil {
			return h, invalid(err)
		}
		if d, b, err = parseDatum(b); err != nil {
			return h, invalid(err)
		}
		switch string(name) {
		case "supported-versions":
			versions, hasVersion = d.text(), true
		case "max-frame-size":
			size, hasSize = d.number()
		case "capabilities":
			capabilities, hasCapabilities = d.text(), true
		case "healthcheck":
			h.healthcheck = d.true()
		}
	}
	switch {
	case !hasVersion:
		return h, &breach{statusNoVersion, "the HELLO has no supported-versions"}
	case !hasSize:
		return h, &breach{statusNoMaxFrame, "the HELLO has no max-frame-size"}
	case !hasCapabilities:
		return h, &breach{statusNoCapability, "the HELLO has no capabilities"}
	case !speaksVersion(versions):
		return h, &breach{statusVersion, fmt.Sprintf("this agent speaks SPOP %s, not %.64q", version, versions)}
	case size < leastMax:
		return h, &breach{statusMaxFrame, fmt.Sprintf("max-frame-size is %d; it must be %d or more", size, leastMax)}
	}
	h.maxFrame = int(min(size, uint64(limit)))
	for c := range strings.SplitSeq(capabilities, ",") {
		if strings.TrimSpace(c) == "pipelining" {
			h.pipelining = true
		}
	}
	return h, nil
}

// speaksVersion reports whether a list of versions has a 2.x: with a major
// version come all its minor ones (section 3.2.4).
func speaksVersion(list string) bool {
	for v := range strings.SplitSeq(list, ",") {
		if major, _, _ := strings.Cut(strings.TrimSpace(v), "."); major == "2" {
			return true
		}
	}
	return false
}

// appendHello appends an AGENT-HELLO (section 3.2.5).
//
// "async" is never announced. It would let an answer take any connection, which
// this agent has no use for, and HAProxy 2.6 then tells no waiting request that
// its connection has ended: each waits until its time is up.
func appendHello(b []byte, h hello) []byte {
	b, at := beginFrame(b, frameAgentHello, 0, 0)
	b = append(appendString(b, "version"), typeString)
	b = appendString(b, version)
	b = append(appendString(b, "max-frame-size"), typeUint32)
	b = appendVarint(b, uint64(h.maxFrame))
	b = append(appendString(b, "capabilities"), typeString)
	if h.pipelining {
		b = appendString(b, "pipelining")
	} else {
		b = appendString(b, "")
	}
	return endFrame(b, at)
}

// appendDisconnect appends an AGENT-DISCONNECT (section 3.2.9).
func appendDisconnect(b []byte, status uint64, text string) []byte {
	b, at := beginFrame(b, frameAgentDisconnect, 0, 0)
	b = append(appendString(b, "status-code"), typeUint32)
	b = appendVarint(b, status)
	b = append(appendString(b, "message"), typeString)
	b = appendString(b, text[:min(len(text), 128)])
	return endFrame(b, at)
}
