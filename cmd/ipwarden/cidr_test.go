package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Lists and texts that zstd packed are read as gzip's are, from files and from
// standard input; one that was cut short is a mistake and no shorter list.
func TestCIDRReadsZstd(t *testing.T) {
	pack := func(text string) []byte {
		var b bytes.Buffer
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, err = z.Write([]byte(text))
		if err = errors.Join(err, z.Close()); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	dir := t.TempDir()
	list, log, short := filepath.Join(dir, "list.zst"), filepath.Join(dir, "log.zst"), filepath.Join(dir, "short.zst")
	packed := pack("10.0.0.0/9\n10.128.0.0/9\n")
	err := errors.Join(
		os.WriteFile(list, packed, 0o600), os.WriteFile(short, packed[:len(packed)-4], 0o600),
		os.WriteFile(log, pack("from 10.1.2.3\nfrom 192.0.2.1\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		stdin  []byte
		want   string
		status int
	}{
		{[]string{"aggregate", list}, nil, "10.0.0.0/8\n", exitOK},
		{[]string{"aggregate", "-"}, packed, "10.0.0.0/8\n", exitOK},
		{[]string{"grep", "-f", list, log}, nil, "from 10.1.2.3\n", exitOK},
		{[]string{"matchip", "--file", list, "-"}, pack("10.9.9.9\n192.0.2.1\n"), "10.9.9.9\n", exitOK},
		{[]string{"grep", "-f", short, log}, nil, "", exitUsage},
	} {
		var out, said bytes.Buffer
		status := run(append([]string{"cidr"}, c.args...), &env{
			stdin: bytes.NewReader(c.stdin), stdout: &out, stderr: &said, getenv: func(string) string { return "" }, now: time.Now,
		})
		if status != c.status || out.String() != c.want {
			t.Errorf("%v: status %d, %q, %s", c.args, status, out.String(), said.String())
		}
		if c.status != exitOK && !strings.Contains(said.String(), "short.zst") {
			t.Errorf("%v: %s", c.args, said.String())
		}
	}
}
