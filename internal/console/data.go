package console

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
)

type dataPage struct {
	Fields []*field
	Open   bool
	Keys   int
}

func (k *Console) dataOf(v *visit, open bool) (*dataPage, error) {
	f, err := k.c.People.Factors(v.r.Context(), v.session)
	if err != nil {
		return nil, err
	}
	all, err := k.c.Accounts.Keys(v.r.Context(), v.account())
	if err != nil {
		return nil, err
	}
	b := &dataPage{Open: open, Fields: []*field{passwordField("Password")}}
	if f.TOTP {
		b.Fields = append(b.Fields, codeField())
	}
	for i := range all {
		if !account.Ended(&all[i], k.c.Now()) {
			b.Keys++
		}
	}
	return b, nil
}

func (k *Console) data(v *visit) error {
	b, err := k.dataOf(v, false)
	if err != nil {
		return err
	}
	v.show(http.StatusOK, "data", &page{Title: "Your data", Here: "data", Body: b})
	return nil
}

// export is all that is kept about the account.
func (k *Console) export(v *visit) error {
	x, err := k.c.People.Export(v.r.Context(), v.from, v.session)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(account.ViewExport(&x, k.c.Now()), "", "  ")
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
	_, _ = v.w.Write(append(text, '\n')) // the client went away: nobody to tell
	return nil
}

func (k *Console) deleteSend(v *visit) error {
	if err := k.c.People.Delete(v.r.Context(), v.from, v.session, v.r.PostFormValue("password"), v.form("code")); err != nil {
		b, err2 := k.dataOf(v, true)
		if err2 != nil {
			return err2
		}
		return v.refused(err, "data", &page{Title: "Your data", Here: "data", Body: b}, b.Fields...)
	}
	v.setCookie(cookieSession, "", time.Time{})
	v.setCookie(cookieDevice, "", time.Time{})
	return v.redirect("/sign-in?done=deleted")
}
