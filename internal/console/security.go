package console

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
)

type securityPage struct {
	Factors  people.Factors
	Sessions []people.Session
	Devices  []people.Device
	Pending  *people.Pending
	Log      []account.Entry
	Password []*field // the form of a new password
	Mail     []*field
	TOTP     []*field
	EndTOTP  []*field
	Recovery []*field
	Open     string // the form that is open
}

// securityOf collects the page. wrong is the form that was refused: it is open.
func (k *Console) securityOf(v *visit, open string) (*securityPage, error) {
	ctx := v.r.Context()
	b := &securityPage{Open: open}
	var err error
	if b.Factors, err = k.c.People.Factors(ctx, v.session); err != nil {
		return nil, err
	}
	if b.Sessions, err = k.c.People.Sessions(ctx, v.session); err != nil {
		return nil, err
	}
	if b.Devices, err = k.c.People.Devices(ctx, v.session); err != nil {
		return nil, err
	}
	if b.Pending, err = k.c.People.PendingMail(ctx, v.session); err != nil {
		return nil, err
	}
	if b.Log, err = k.c.People.Log(ctx, v.session, 0, 8); err != nil {
		return nil, err
	}
	named := func(prefix string, f ...*field) []*field { // identifiers are one each on a page
		for _, x := range f {
			x.ID = prefix + x.ID
		}
		return f
	}
	old := passwordField("Present password")
	old.ID = "old"
	b.Password = named("p-", old, newPasswordField())
	b.Mail = named("m-", &field{ID: "email", Label: "New address", Type: "email", Auto: "email", Required: true, Max: 254}, passwordField("Password"))
	b.TOTP = named("t-", passwordField("Password"))
	b.EndTOTP = named("e-", passwordField("Password"), codeField())
	b.Recovery = named("r-", passwordField("Password"))
	return b, nil
}

func (k *Console) security(v *visit) error {
	b, err := k.securityOf(v, "")
	if err != nil {
		return err
	}
	v.show(http.StatusOK, "security", &page{Title: "Security", Here: "security", Body: b})
	return nil
}

// again shows the page with what was wrong in one of its forms.
func (k *Console) again(v *visit, why error, open string, forms func(*securityPage) []*field, names ...string) error {
	if wrongs(why) == nil {
		return why
	}
	b, err := k.securityOf(v, open)
	if err != nil {
		return err
	}
	fields := forms(b)
	// Mistakes are told by the names of what was sent.
	var invalid account.Invalid
	if errors.As(why, &invalid) {
		moved := make(account.Invalid, len(invalid))
		for i, m := range invalid {
			moved[i] = m
			for j, n := range names {
				if n == m.Field {
					moved[i].Field = fields[j].ID
				}
			}
		}
		why = moved
	}
	return v.refused(why, "security", &page{Title: "Security", Here: "security", Body: b}, fields...)
}

func (k *Console) passwordSend(v *visit) error {
	if err := k.c.People.ChangePassword(v.r.Context(), v.from, v.session, v.r.PostFormValue("p-old"), v.r.PostFormValue("p-password")); err != nil {
		return k.again(v, err, "password", func(b *securityPage) []*field { return b.Password }, "old", "password")
	}
	return v.redirect("/security?done=password")
}

func (k *Console) mailSend(v *visit) error {
	if err := k.c.People.ChangeMail(v.r.Context(), v.from, v.session, v.r.PostFormValue("m-password"), v.form("m-email")); err != nil {
		return k.again(v, err, "mail", func(b *securityPage) []*field { b.Mail[0].Value = v.form("m-email"); return b.Mail }, "email", "password")
	}
	return v.redirect("/security?done=mail-sent")
}

type totpPage struct {
	Secret string // in groups of four
	URI    string
	QR     *qr
	Fields []*field
}

func (k *Console) totpBegin(v *visit) error {
	setup, err := k.c.People.BeginTOTP(v.r.Context(), v.from, v.session, v.r.PostFormValue("t-password"))
	if err != nil {
		return k.again(v, err, "totp", func(b *securityPage) []*field { return b.TOTP }, "password")
	}
	code := newCodeField()
	code.Focus = true
	body := &totpPage{Secret: fours(setup.Secret), URI: setup.URI, Fields: []*field{code}}
	if body.QR, err = readQR(setup.QR); err != nil {
		k.c.Log.Warn("the QR code cannot be shown", "error", err)
	}
	v.show(http.StatusOK, "totp", &page{Title: "Your authenticator app", Here: "security", Body: body})
	return nil
}

func newCodeField() *field {
	return &field{ID: "code", Label: "Code of the app", Auto: "one-time-code", Required: true, Max: 10, Hint: "Six digits."}
}

// fours puts spaces into a secret that somebody types.
func fours(s string) string {
	var b []byte
	for i := range len(s) {
		if i > 0 && i%4 == 0 {
			b = append(b, ' ')
		}
		b = append(b, s[i])
	}
	return string(b)
}

func (k *Console) totpConfirm(v *visit) error {
	codes, err := k.c.People.ConfirmTOTP(v.r.Context(), v.from, v.session, v.form("code"))
	if err != nil {
		code := newCodeField()
		code.Focus = true
		// The secret is shown once: the app has it by now, or one begins anew.
		return v.refused(err, "totp", &page{Title: "Your authenticator app", Here: "security", Body: &totpPage{Fields: []*field{code}}}, code)
	}
	return v.recovery(codes, true)
}

func (v *visit) recovery(codes []string, fresh bool) error {
	v.show(http.StatusOK, "recovery", &page{Title: "Recovery codes", Here: "security", Body: struct {
		Codes []string
		Fresh bool
	}{codes, fresh}})
	return nil
}

func (k *Console) totpEnd(v *visit) error {
	if err := k.c.People.EndTOTP(v.r.Context(), v.from, v.session, v.r.PostFormValue("e-password"), v.form("e-code")); err != nil {
		return k.again(v, err, "totp", func(b *securityPage) []*field { return b.EndTOTP }, "password", "code")
	}
	return v.redirect("/security?done=totp-ended")
}

func (k *Console) recoverySend(v *visit) error {
	codes, err := k.c.People.NewRecoveryCodes(v.r.Context(), v.from, v.session, v.r.PostFormValue("r-password"))
	if err != nil {
		return k.again(v, err, "recovery", func(b *securityPage) []*field { return b.Recovery }, "password")
	}
	return v.recovery(codes, false)
}

func (k *Console) sessionEnd(v *visit) error {
	id, err := people.ParseID[people.SessionID](v.r.PathValue("id"))
	if err != nil {
		return errNotHere
	}
	if err := k.c.People.EndSession(v.r.Context(), v.from, v.session, id); err != nil {
		return err
	}
	return v.redirect("/security?done=session-ended")
}

func (k *Console) othersEnd(v *visit) error {
	if _, err := k.c.People.EndOthers(v.r.Context(), v.from, v.session); err != nil {
		return err
	}
	return v.redirect("/security?done=others-ended")
}

func (k *Console) deviceForget(v *visit) error {
	id, err := people.ParseID[people.DeviceID](v.r.PathValue("id"))
	if err != nil {
		return errNotHere
	}
	if err := k.c.People.ForgetDevice(v.r.Context(), v.from, v.session, id); err != nil {
		return err
	}
	return v.redirect("/security?done=device-forgotten")
}

const logPage = 50

// log lists what was done to the account, a page at a time.
func (k *Console) log(v *visit) error {
	before, _ := strconv.ParseInt(v.r.URL.Query().Get("before"), 10, 64) // 0 is the newest
	all, err := k.c.People.Log(v.r.Context(), v.session, max(0, before), logPage)
	if err != nil {
		return err
	}
	body := struct {
		Log  []account.Entry
		More int64
	}{Log: all}
	if len(all) == logPage {
		body.More = all[len(all)-1].ID
	}
	v.show(http.StatusOK, "log", &page{Title: "What was done", Here: "security", Body: body})
	return nil
}
