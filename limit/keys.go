package limit

// maxSampled bounds how many buckets are looked at to tell how many keys there are.
const maxSampled = 16384

// keysOf counts the keys that hold something at a time. Of a table of more than
// maxSampled buckets it looks at every so manieth. It takes no locks: what changes
// meanwhile is counted or not.
func keysOf(t *table, now int64) int {
	step := (len(t.buckets) + maxSampled - 1) / maxSampled
	n, looked := 0, 0
	for i := 0; i < len(t.buckets); i += step {
		looked++
		b := &t.buckets[i]
		for way := range b.slots {
			if s := &b.slots[way]; s.has(metaUsed) && s.until.Load() > now {
				n++
			}
		}
	}
	return int(int64(n) * int64(len(t.buckets)) / int64(looked))
}
