package simulate

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// sums are what the database says: by key and region.
func (w *world) sums(p *customer) (map[[2]string]int64, error) {
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	out, err := w.tool("usage", p.email, "--by", "key,region", "--json", "--from", day(-2), "--to", day(2))
	if err != nil {
		return nil, err
	}
	sums := map[[2]string]int64{}
	for line := range strings.Lines(out) {
		var row struct {
			Key, Region string
			Charged     int64
		}
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			return nil, fmt.Errorf("simulate: ipwarden usage: %w", err)
		}
		sums[[2]string{row.Key, row.Region}] += row.Charged
	}
	return sums, nil
}

// agree waits until all regions and the database say the same of a customer, and that
// it is among what may have been counted.
func (w *world) agree(p *customer, in span, of func(key, region int) span) (counted int64, err error) {
	said := ""
	err = w.until("all regions and the database say the same of "+p.email, func() bool {
		counted = -1
		for _, r := range w.regions {
			c := r.caller()
			a, err := c.get(p.keys[0], pathBad)
			c.close()
			used := p.limit - a.left
			if a.left == 0 { // what was used beyond the limit is not said
				used = counted
			}
			if err != nil || a.left < 0 || a.left > 0 && !in.has(used) || counted >= 0 && used != counted {
				said = fmt.Sprintf("%s says %d (%v), the one before %d; it should be %d to %d", r.name, used, err, counted, in.from, in.to)
				w.wait(100 * time.Millisecond)
				return false
			}
			counted = used
		}
		sums, err := w.sums(p)
		total := int64(0)
		for i, id := range p.ids {
			for j, r := range w.regions {
				n := sums[[2]string{id, r.name}]
				if total += n; of != nil && !of(i, j).has(n) && err == nil {
					err = fmt.Errorf("%s in %s: %d, it should be %d to %d", id, r.name, n, of(i, j).from, of(i, j).to)
				}
			}
		}
		if err != nil || !in.has(total) || counted >= 0 && total != counted {
			said = fmt.Sprintf("the database says %d (%v), the regions %d; it should be %d to %d", total, err, counted, in.from, in.to)
			w.wait(200 * time.Millisecond)
			return false
		}
		counted = total
		return true
	})
	if err != nil {
		return counted, fmt.Errorf("%w: %s", err, said)
	}
	return counted, nil
}

// settle compares what was sent with what was counted.
func (t *traffic) settle(r *Report) error {
	first := 0
	for _, p := range t.customers {
		var in span
		for k := range p.keys {
			for j := range t.w.regions {
				s := t.of(first+k, j)
				in.from += s.from
				in.to += s.to
			}
		}
		base := first
		n, err := t.w.agree(p, in, func(key, region int) span { return t.of(base+key, region) })
		if err != nil {
			return err
		}
		r.Answered += in.from
		r.Lost += in.to - in.from
		r.Counted += n
		first += len(p.keys)
	}
	return nil
}
