package redis

import (
	"crypto/sha1" //nolint:gosec // it is how Redis names a script
	_ "embed"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/ipwarden/ipwarden/limit"
)

//go:embed take.lua
var takeLua string

// A script as Redis knows it.
type script struct {
	text, sha string
}

func newScript(text string) script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // it is how Redis names a script
	return script{text: text, sha: hex.EncodeToString(sum[:])}
}

// The sizes of take.lua.
const (
	itemSize   = 27
	answerSize = 17
)

// What an item is to do.
const (
	opTake = 0
	opBack = 1
)

// appendItem appends what take.lua reads of an item.
func appendItem(dst []byte, op byte, it *limit.Item, last bool) []byte {
	c, b := uint64(it.Rate.Limit), uint64(it.Rate.Burst)
	if b == 0 || it.Rate.Algorithm != limit.GCRA {
		b = c
	}
	raise := uint64(max(it.Raise, 1))
	dst = append(dst, op, byte(it.Rate.Algorithm), 0)
	if last {
		dst[len(dst)-1] = 1
	}
	dst = binary.LittleEndian.AppendUint32(dst, it.Cost)
	dst = binary.LittleEndian.AppendUint32(dst, it.Report)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(min(c*raise, math.MaxUint32)))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(min(b*raise, math.MaxUint32)))
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(float64(it.Rate.Window)/float64(time.Microsecond)))
}

var errJunk = errors.New("redis: the server's answer is not what the script gives")

// parseAnswer reads what take.lua says of an item.
func parseAnswer(answer string, it *limit.Item) error {
	if len(answer) != answerSize || answer[0] > 1 {
		return errJunk
	}
	b := []byte(answer)
	until := math.Float64frombits(binary.LittleEndian.Uint64(b[1:]))
	if !(until >= 0 && until <= 4*float64(limit.MaxHorizon/time.Microsecond)) {
		return errJunk
	}
	it.Allowed = b[0] == 1
	it.Until = time.Duration(until * float64(time.Microsecond))
	it.Current = binary.LittleEndian.Uint32(b[9:])
	it.Previous = binary.LittleEndian.Uint32(b[13:])
	return nil
}

// appendKey appends the key of an item: the prefix, and the Key in base64.
func appendKey(dst []byte, prefix string, k limit.Key) []byte {
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:], k[0])
	binary.BigEndian.PutUint64(raw[8:], k[1])
	dst = append(dst, prefix...)
	return base64.RawURLEncoding.AppendEncode(dst, raw[:])
}

// keySize is what appendKey appends beside the prefix.
const keySize = 22

// A call is one run of the script: items that all go to one node, and in a
// cluster to one slot.
type call struct {
	keys  []string
	items []byte
	whose []*limit.Item
}

func (c *call) reset() {
	clear(c.keys)
	clear(c.whose)
	c.keys, c.items, c.whose = c.keys[:0], c.items[:0], c.whose[:0]
}

func (c *call) add(op byte, it *limit.Item, key string, last bool) {
	c.keys = append(c.keys, key)
	c.items = appendItem(c.items, op, it, last)
	c.whose = append(c.whose, it)
}

// arguments are those of EVALSHA or EVAL after the script.
func (c *call) arguments(script string) []string {
	args := make([]string, 0, 3+len(c.keys))
	args = append(args, script, strconv.Itoa(len(c.keys)))
	args = append(args, c.keys...)
	return append(args, string(c.items), "")
}

// command is EVALSHA or EVAL, which a cluster's client sends to where the keys are.
func (c *call) command(client rueidis.Client, name, script string) rueidis.Completed {
	return client.B().Arbitrary(name).Args(script, strconv.Itoa(len(c.keys))).Keys(c.keys...).Args(string(c.items), "").Build()
}

// answer reads the answers of all items.
func (c *call) answer(text string) error {
	if len(text) != answerSize*len(c.whose) {
		return errJunk
	}
	for i, it := range c.whose {
		if err := parseAnswer(text[i*answerSize:(i+1)*answerSize], it); err != nil {
			return err
		}
	}
	return nil
}
