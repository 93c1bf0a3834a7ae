package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
)

// batch answers POST /batch: an array of addresses, or of objects that name an
// address, and fields and a language of their own.
func (a ipapi) batch(c *Call) {
	if c.Method != http.MethodPost {
		c.fail(wrongMethod)
		return
	}
	body, ok := c.body()
	if !ok {
		return
	}
	items, err := arrayItems(body, c.bulk(maxAPIBatch))
	if err != nil {
		c.restart(http.StatusUnprocessableEntity)
		apiFail(c, err.Error())
		return
	}
	if !c.admit(len(items) - 1) {
		return
	}
	apiLimits(c, apiBatchPerMinute)
	common := apiQuestion{fields: parseAPIFields(param(c.Query, "fields")), tongue: tongueNamed(param(c.Query, "lang"))}
	c.ContentType = typeJSONUTF
	out := append(c.Out, '[')
	for i, item := range items {
		if i > 0 {
			out = append(out, ',')
		}
		q := common
		if !q.item(item) {
			q.text = ""
		}
		var ans apiAnswer
		if !a.find(c, &q, &ans) {
			return
		}
		out = ans.append(out, q.fields, apiJSON)
	}
	c.Out = append(out, ']')
}

// item reads one item of a batch; false when it is none.
func (q *apiQuestion) item(raw json.RawMessage) bool {
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, &q.text) == nil
	}
	var o struct {
		Query  string
		Fields json.RawMessage // names, or a number
		Lang   string
	}
	if json.Unmarshal(raw, &o) != nil {
		return false
	}
	q.text = o.Query
	if list := o.Fields; len(list) > 0 && string(list) != "null" {
		var names string
		if json.Unmarshal(list, &names) != nil {
			names = string(list)
		}
		q.fields = parseAPIFields(names)
	}
	if o.Lang != "" {
		q.tongue = tongueNamed(o.Lang)
	}
	return true
}

var (
	errNoArray  = errors.New("the body has to be a JSON array")
	errTooMany  = errors.New("the array has too many items")
	errNotClean = errors.New("the body goes on after the array")
)

// arrayItems reads a JSON array of at most limit items.
func arrayItems(body []byte, limit int) ([]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return nil, errNoArray
	}
	var items []json.RawMessage
	for d.More() {
		if len(items) == limit {
			return nil, errTooMany
		}
		var item json.RawMessage
		if err := d.Decode(&item); err != nil {
			return nil, errNoArray
		}
		items = append(items, item)
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoArray
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNotClean
	}
	return items, nil
}
