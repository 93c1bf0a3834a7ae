package challenge

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden"
)

var update = flag.Bool("update", false, "write what the tests expect")

// edgeVectors are tickets, clearances and networks as gates make them. The package for
// edge platforms, which makes and reads the same in another language, is tested with the
// very file.
type edgeVectors struct {
	Key        string          `json:"key"`
	Networks   []edgeNetwork   `json:"networks"`
	Tickets    []edgeTicket    `json:"tickets"`
	Clearances []edgeClearance `json:"clearances"`
}

type edgeNetwork struct {
	Address string `json:"address"` // as somebody spells it
	Client  string `json:"client"`  // canonical
	Network string `json:"network"`
}

type edgeTicket struct {
	Text    string `json:"text"`
	ID      string `json:"id"`
	Issued  int64  `json:"issued"` // milliseconds
	Network string `json:"network"`
	Risk    uint8  `json:"risk"`
	Again   bool   `json:"again"`
	Late    bool   `json:"fallback"`
}

type edgeClearance struct {
	Text    string `json:"text"`
	Issued  int64  `json:"issued"` // seconds
	Expires int64  `json:"expires"`
	Client  string `json:"client"`
	Network string `json:"network"`
	Ceiling uint8  `json:"ceiling"`
}

const edgeFile = "../../integrations/edge/test/clearance.json"

// TestEdge: what is in the file means here what it says.
func TestEdge(t *testing.T) {
	if *update {
		writeEdge(t)
	}
	text, err := os.ReadFile(edgeFile)
	if err != nil {
		t.Fatal(err)
	}
	var v edgeVectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	key, err := hex.DecodeString(v.Key)
	if err != nil {
		t.Fatal(err)
	}
	s := newSealer(key)
	if len(v.Networks) < 10 || len(v.Tickets) < 10 || len(v.Clearances) < 10 {
		t.Fatalf("%d networks, %d tickets, %d clearances", len(v.Networks), len(v.Tickets), len(v.Clearances))
	}
	for _, n := range v.Networks {
		addr, _ := ipwarden.Canonical(netip.MustParseAddr(n.Address))
		net := networkOf(addr)
		if addr.String() != n.Client || hex.EncodeToString(net[:]) != n.Network {
			t.Errorf("%+v: %s %x", n, addr, net)
		}
	}
	for _, k := range v.Tickets {
		got, ok := s.openTicket(k.Text)
		if !ok || hex.EncodeToString(got.ID[:]) != k.ID || got.Issued.UnixMilli() != k.Issued || hex.EncodeToString(got.net[:]) != k.Network ||
			got.Score != k.Risk || got.Again != k.Again || got.Fallback != k.Late {
			t.Errorf("%+v: %+v %v", k, got, ok)
			continue
		}
		if text := string(s.appendTicket(nil, got)); text != k.Text {
			t.Errorf("%q, want %q", text, k.Text)
		}
	}
	for _, k := range v.Clearances {
		got, ok := s.openClearance(k.Text)
		if !ok || got.issued != k.Issued || got.expires != k.Expires || hex.EncodeToString(got.net[:]) != k.Network || got.ceiling != k.Ceiling {
			t.Errorf("%+v: %+v %v", k, got, ok)
		}
	}
}

func writeEdge(t *testing.T) {
	key := slices.Repeat([]byte{0x5a, 0x01, 0xfe, 0x80}, 8)
	s, v := newSealer(key), edgeVectors{Key: hex.EncodeToString(key)}
	addrs := strings.Fields(`198.51.100.20 203.0.113.66 0.0.0.0 255.255.255.255 ::ffff:203.0.113.66 2001:db8:1:2::7 2001:DB8:1:2:0:0:0:1
		2001:db8:1:2:ffff:ffff:ffff:ffff 2001:db8::1%eth0 :: fe80::1 2002:cb00:7142:1::1 64:ff9b::cb00:7142 2001:0:4136:e378:8000:63bf:3fff:fdd2`)
	for i, text := range addrs {
		addr, _ := ipwarden.Canonical(netip.MustParseAddr(text))
		net := networkOf(addr)
		v.Networks = append(v.Networks, edgeNetwork{text, addr.String(), hex.EncodeToString(net[:])})
		at := start.Add(time.Duration(i) * 12345678 * time.Millisecond)
		k := s.newTicket(net, uint8(i*7), i%2 == 0, i%3 == 0, at)
		v.Tickets = append(v.Tickets, edgeTicket{k.Text, hex.EncodeToString(k.ID[:]), at.UnixMilli(), hex.EncodeToString(net[:]), k.Score, k.Again, k.Fallback})
		c := clearance{issued: start.Unix() + int64(i), expires: start.Unix() + 3600 + int64(i), net: net, ceiling: uint8(i * 9)}
		v.Clearances = append(v.Clearances, edgeClearance{string(s.appendClearance(nil, c)), c.issued, c.expires, addr.String(), hex.EncodeToString(net[:]), c.ceiling})
	}
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(edgeFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
