package dataset

import (
	"fmt"
	"io"
	"os"
	"time"
)

// DateOf reads the date of a dataset from the first bytes of its file. Nothing else
// of the file is checked; [Open] does that.
func DateOf(path string) (time.Time, error) {
	f, err := os.Open(path)
	if err != nil {
		return time.Time{}, err
	}
	defer f.Close()
	var head [headerSize]byte
	if _, err := io.ReadFull(f, head[:]); err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", path, corrupt("it has fewer than %d bytes", headerSize))
	}
	if string(head[:len(magic)]) != magic {
		return time.Time{}, fmt.Errorf("%s: %w", path, corrupt("it does not begin with %q", magic))
	}
	if v := le.Uint32(head[offVersion:]); v != formatVersion {
		return time.Time{}, fmt.Errorf("%s: %w", path, corrupt("it is of format %d; this program reads format %d", v, formatVersion))
	}
	unix := int64(le.Uint64(head[offDate:]))
	if unix < 0 || unix > maxDate {
		return time.Time{}, fmt.Errorf("%s: %w", path, corrupt("its date is out of range"))
	}
	return time.Unix(unix, 0).UTC(), nil
}

// maxDate is beyond any date that a dataset can have, in seconds since 1970.
const maxDate = 1 << 40
