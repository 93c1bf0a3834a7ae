package dialect

import "encoding/json"

// An item is one question of many. text is "" when it is no string.
type item struct {
	text string
	ok   bool // a string
}

// itemsError is why there are no items.
type itemsError uint8

const (
	itemsRead itemsError = iota
	itemsNone            // the array is empty
	itemsMany            // more than limit
	itemsBad             // the body is no JSON array
)

// items reads a JSON array of questions, at most limit of them.
func items(body []byte, limit int) ([]item, itemsError) {
	var raw []json.RawMessage
	if err := json.Unmarshal(body, &raw); err != nil || raw == nil {
		return nil, itemsBad
	}
	switch {
	case len(raw) == 0:
		return nil, itemsNone
	case len(raw) > limit:
		return nil, itemsMany
	}
	all := make([]item, len(raw))
	for i, r := range raw {
		all[i].ok = r[0] == '"' && json.Unmarshal(r, &all[i].text) == nil
	}
	return all, itemsRead
}
