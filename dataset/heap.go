package dataset

// cursor is where a feed changes next.
type cursor struct {
	at   position
	now  []step   // what is left of the chunk
	then [][]step // the chunks after it
	feed *active
}

// next moves to the next change; false at the end.
func (c *cursor) next() bool {
	if c.now = c.now[1:]; len(c.now) == 0 {
		if len(c.then) == 0 {
			return false
		}
		c.now, c.then = c.then[0], c.then[1:]
	}
	c.at = c.now[0].from
	return true
}

// heap of cursors, the nearest change first. (container/heap would move every
// comparison behind an interface, which is half the cost of the sweep.)
type heap []cursor

func (h *heap) push(c cursor) {
	*h = append(*h, c)
	for i := len(*h) - 1; i > 0; {
		up := (i - 1) / 2
		if !(*h)[i].at.less((*h)[up].at) {
			return
		}
		(*h)[i], (*h)[up] = (*h)[up], (*h)[i]
		i = up
	}
}

func (h *heap) pop() {
	n := len(*h) - 1
	(*h)[0] = (*h)[n]
	(*h)[n] = cursor{}
	*h = (*h)[:n]
	if n > 0 {
		h.down(0)
	}
}

// down restores the order after the cursor at i moved on.
func (h *heap) down(i int) {
	q := *h
	for {
		next := 2*i + 1
		if next >= len(q) {
			return
		}
		if next+1 < len(q) && q[next+1].at.less(q[next].at) {
			next++
		}
		if !q[next].at.less(q[i].at) {
			return
		}
		q[i], q[next] = q[next], q[i]
		i = next
	}
}
