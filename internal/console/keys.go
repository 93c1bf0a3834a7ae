package console

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/customer"
)

type keysPage struct {
	Keys   []keyRow
	Ended  int
	All    bool // ended ones are listed too
	Form   *keyForm
	Opened bool // the form is
}

type keyRow struct {
	account.KeyView
	Bound []string // what it is restricted to, in words
}

// madePage shows the text of a key, once.
type madePage struct {
	Key     account.KeyView
	Text    string
	First   bool // with signing up
	Ends    time.Time
	Replace string
}

type keyPage struct {
	Key     account.KeyView
	Form    *keyForm
	Opened  bool
	Usage   *chart
	Overlap []overlap
}

type overlap struct {
	Value, Label string
	Span         time.Duration
}

// overlaps are how long a key may go on beside the one that replaces it.
func overlaps() []overlap {
	return []overlap{
		{"24h", "24 hours", 24 * time.Hour},
		{"1h", "1 hour", time.Hour},
		{"7d", "7 days", 7 * 24 * time.Hour},
		{"30d", "30 days", 30 * 24 * time.Hour},
		{"0", "not at all: it ends at once", 0},
	}
}

func (k *Console) keys(v *visit) error {
	return k.keyList(v, http.StatusOK, newKeyForm(k.c.Now()), false)
}

func (k *Console) keyList(v *visit, status int, form *keyForm, opened bool, wrong ...string) error {
	all, err := k.c.Accounts.Keys(v.r.Context(), v.account())
	if err != nil {
		return err
	}
	body := &keysPage{Form: form, Opened: opened || len(all) == 0, All: v.r.URL.Query().Get("all") != ""}
	now := k.c.Now()
	for i := range slices.Backward(all) { // the newest first
		if account.Ended(&all[i], now) {
			body.Ended++
			if !body.All {
				continue
			}
		}
		view := account.ViewKey(&all[i], now)
		body.Keys = append(body.Keys, keyRow{view, bounds(&view)})
	}
	v.show(status, "keys", &page{Title: "Keys", Here: "keys", Body: body, Wrong: wrong})
	return nil
}

// bounds says in words what a key is restricted to.
func bounds(k *account.KeyView) (all []string) {
	add := func(what string, n int, first string) {
		switch {
		case n == 1:
			all = append(all, first)
		case n > 1:
			all = append(all, group(int64(n))+" "+what)
		}
	}
	if len(k.Networks) > 0 {
		add("networks", len(k.Networks), k.Networks[0].String())
	}
	if len(k.Origins) > 0 {
		add("origins", len(k.Origins), k.Origins[0])
	}
	if len(k.Endpoints) > 0 {
		add("paths", len(k.Endpoints), k.Endpoints[0])
	}
	for _, l := range k.Limits {
		all = append(all, group(l.N)+" a "+l.Per)
	}
	if !slices.Equal(k.Scopes, []string{customer.ScopeLookup}) {
		all = append(all, strings.Join(k.Scopes, " and "))
	}
	return all
}

func (k *Console) keyMake(v *visit) error {
	form := readKeyForm(v, k.c.Now())
	spec, err := form.spec()
	var made customer.Key
	var text string
	if err == nil {
		made, text, err = k.c.Accounts.NewKey(v.changes(), v.actor(), v.account(), spec)
	}
	if err != nil {
		all := form.wrong(err)
		if all == nil {
			return err
		}
		return k.keyList(v, http.StatusUnprocessableEntity, form, true, all...)
	}
	k.c.InForce(v.r.Context(), made.Revision)
	v.show(http.StatusOK, "key-made", &page{Title: "A new key", Here: "keys", Body: &madePage{Key: account.ViewKey(&made, k.c.Now()), Text: text}})
	return nil
}

// own finds the key of the path, if it is one of the account.
func (k *Console) own(v *visit) (customer.Key, error) {
	id, err := customer.ParseKeyID(v.r.PathValue("key"))
	if err != nil {
		return customer.Key{}, errNotHere
	}
	found, err := k.c.Accounts.FindKey(v.r.Context(), id.String())
	if err == nil && found.Account != v.account() {
		err = errNotHere
	}
	return found, err
}

func (k *Console) key(v *visit) error {
	found, err := k.own(v)
	if err != nil {
		return err
	}
	return k.keyShow(v, http.StatusOK, &found, keyFormOf(&found, k.c.Now()), false)
}

func (k *Console) keyShow(v *visit, status int, found *customer.Key, form *keyForm, opened bool, wrong ...string) error {
	view := account.ViewKey(found, k.c.Now())
	body := &keyPage{Key: view, Form: form, Opened: opened, Overlap: overlaps()}
	sums, err := k.sum(v, &question{span: spans()[2], by: groupNone, key: found.ID})
	if err != nil {
		return err
	}
	body.Usage = sums.chart()
	title := view.Name
	if title == "" {
		title = view.ID
	}
	v.show(status, "key", &page{Title: title, Here: "keys", Body: body, Wrong: wrong})
	return nil
}

func (k *Console) keyChange(v *visit) error {
	found, err := k.own(v)
	if err != nil {
		return err
	}
	form := readKeyForm(v, k.c.Now())
	form.Kind, form.Mode = found.Kind.String(), found.Mode.String()
	form.keep(found.Expires)
	spec, err := form.spec()
	var now customer.Key
	if err == nil {
		now, err = k.c.Accounts.ChangeKey(v.changes(), v.actor(), found.ID, func(s *account.KeySpec) { *s = spec })
	}
	if err != nil {
		all := form.wrong(err)
		if all == nil {
			return err
		}
		return k.keyShow(v, http.StatusUnprocessableEntity, &found, form, true, all...)
	}
	k.c.InForce(v.r.Context(), now.Revision)
	return v.redirect("/keys/" + found.ID.String() + "?done=key-changed")
}

func (k *Console) keyRotate(v *visit) error {
	found, err := k.own(v)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(overlaps(), func(o overlap) bool { return o.Value == v.form("overlap") })
	if i < 0 {
		return errForm
	}
	old, made, text, err := k.c.Accounts.RotateKey(v.changes(), v.actor(), found.ID, overlaps()[i].Span)
	if err != nil {
		if all := wrongs(err); all != nil {
			return k.keyShow(v, http.StatusConflict, &found, keyFormOf(&found, k.c.Now()), false, all...)
		}
		return err
	}
	k.c.InForce(v.r.Context(), made.Revision)
	v.show(http.StatusOK, "key-made", &page{Title: "The new key", Here: "keys", Body: &madePage{
		Key: account.ViewKey(&made, k.c.Now()), Text: text, Ends: old.Revoked, Replace: old.ID.String(),
	}})
	return nil
}

func (k *Console) keyRevoke(v *visit) error {
	found, err := k.own(v)
	if err != nil {
		return err
	}
	if found, err = k.c.Accounts.RevokeKey(v.changes(), v.actor(), found.ID, 0, "on the pages"); err != nil {
		return err
	}
	k.c.InForce(v.r.Context(), found.Revision)
	return v.redirect("/keys?done=key-revoked")
}
