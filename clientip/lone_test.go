package clientip

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// lone4 reads what parse4 reads to the end, and nothing else.
func TestLoneIsTheObviousOne(t *testing.T) {
	check := func(s string) {
		t.Helper()
		slow, n := parse4(s)
		want := n > 0 && n == len(s)
		if got, ok := lone4(list, s); ok != want || ok && got != slow {
			t.Fatalf("%q: %s %t, want %s %t", s, got, ok, slow, want)
		}
	}
	parts := []string{"", "0", "1", "9", "00", "01", "10", "99", "000", "001", "010", "099", "100", "199", "255", "256", "260", "299", "300", "999", "0000", "1000", "/", ":", "1/", "/1", "1:", "\x00", "\xff", "1\x80", "-1", " 1", "1 "}
	for _, a := range parts {
		for _, b := range parts {
			check(a + "." + b + ".3.4")
			check(a + ".2.3." + b)
			check("255." + a + "." + b + ".255")
			check("12.34." + a + "." + b)
		}
	}
	for _, s := range []string{"", "1", "........", "1.2.3.4.", "1.2.3.4.5", ".1.2.3.4", "11.22.33.44.", "1111111111111", "1..2.3.44", "11.22.3344", "255.255.255.255", "255.255.255.256"} {
		check(s)
	}
	random := rand.New(rand.NewPCG(1, 2))
	const near = "0123456789...../:;\x00\x80\xae\xb0 -"
	for range 200_000 {
		s := []byte(fmt.Sprintf("%d.%d.%d.%d", random.IntN(300), random.IntN(300), random.IntN(300), random.IntN(300)))
		check(string(s))
		s[random.IntN(len(s))] = near[random.IntN(len(near))]
		check(string(s))
		s[random.IntN(len(s))] = byte(random.Uint32())
		check(string(s))
		check(strings.Repeat(string(s), 2)[:random.IntN(17)%len(s)])
	}
}
