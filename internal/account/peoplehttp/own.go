package peoplehttp

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
)

// show tells who is signed in.
func (c *call) show() error {
	ctx := c.r.Context()
	f, err := c.c.People.Factors(ctx, c.session)
	if err != nil {
		return err
	}
	pending, err := c.c.People.PendingMail(ctx, c.session)
	if err != nil {
		return err
	}
	plans, err := c.c.Accounts.Plans(ctx)
	if err != nil {
		return err
	}
	type waits struct {
		Email   string    `json:"email"`
		Expires time.Time `json:"expires"`
	}
	v := struct {
		Account  account.AccountView `json:"account"`
		Plan     *account.PlanView   `json:"plan,omitempty"`
		Password time.Time           `json:"password_since,omitzero"`
		TOTP     time.Time           `json:"second_factor_since,omitzero"`
		Recovery int                 `json:"recovery_codes"`
		Mail     *waits              `json:"new_email,omitempty"`
	}{Account: account.ViewAccount(&c.session.Account), Password: f.PasswordSince, TOTP: f.TOTPSince, Recovery: f.RecoveryLeft}
	for i := range plans {
		if plans[i].Name == c.session.Account.Plan {
			p := account.ViewPlan(&plans[i])
			v.Plan = &p
		}
	}
	if pending != nil {
		v.Mail = &waits{pending.Email, pending.Expires}
	}
	return c.answer(http.StatusOK, v)
}

// remove ends the account.
func (c *call) remove() error {
	var q struct {
		Password string `json:"password"`
		Code     string `json:"code"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if err := c.c.People.Delete(c.r.Context(), c.visit, c.session, q.Password, q.Code); err != nil {
		return err
	}
	c.setCookie(c.w, cookieSession, "", time.Time{})
	c.setCookie(c.w, cookieDevice, "", time.Time{})
	return c.nothing()
}

func (c *call) export() error {
	x, err := c.c.People.Export(c.r.Context(), c.visit, c.session)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Disposition", `attachment; filename="account.json"`)
	return c.answer(http.StatusOK, account.ViewExport(&x, c.c.Now()))
}

// maxEntries is how many entries of the log are told at once.
const maxEntries = 100

func (c *call) log() error {
	before := int64(0)
	if text := c.r.URL.Query().Get("before"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 1 {
			return account.Invalid{{Field: "before", Message: "it is the id of an entry, such as 42"}}
		}
		before = n
	}
	entries, err := c.c.People.Log(c.r.Context(), c.session, before, maxEntries)
	if err != nil {
		return err
	}
	all := []account.EntryView{}
	for i := range entries {
		all = append(all, account.ViewEntry(&entries[i]))
	}
	return c.answer(http.StatusOK, map[string]any{"log": all})
}

func (c *call) changePassword() error {
	var q struct {
		Old      string `json:"old_password"`
		Password string `json:"password"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if err := c.c.People.ChangePassword(c.r.Context(), c.visit, c.session, q.Old, q.Password); err != nil {
		return err
	}
	return c.nothing()
}

func (c *call) changeMail() error {
	var q struct {
		Password string `json:"password"`
		Email    string `json:"email"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if err := c.c.People.ChangeMail(c.r.Context(), c.visit, c.session, q.Password, q.Email); err != nil {
		return err
	}
	return c.answer(http.StatusAccepted, sent)
}

func (c *call) beginTOTP() error {
	var q struct {
		Password string `json:"password"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	setup, err := c.c.People.BeginTOTP(c.r.Context(), c.visit, c.session, q.Password)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, map[string]string{
		"secret": setup.Secret, "uri": setup.URI, "qr": "data:image/png;base64," + base64.StdEncoding.EncodeToString(setup.QR),
	})
}

func (c *call) confirmTOTP() error {
	var q struct {
		Code string `json:"code"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	codes, err := c.c.People.ConfirmTOTP(c.r.Context(), c.visit, c.session, q.Code)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string][]string{"recovery_codes": codes})
}

func (c *call) endTOTP() error {
	var q struct {
		Password string `json:"password"`
		Code     string `json:"code"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	if err := c.c.People.EndTOTP(c.r.Context(), c.visit, c.session, q.Password, q.Code); err != nil {
		return err
	}
	return c.nothing()
}

func (c *call) newRecoveryCodes() error {
	var q struct {
		Password string `json:"password"`
	}
	if err := c.read(&q); err != nil {
		return err
	}
	codes, err := c.c.People.NewRecoveryCodes(c.r.Context(), c.visit, c.session, q.Password)
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, map[string][]string{"recovery_codes": codes})
}

func (c *call) sessions() error {
	all, err := c.c.People.Sessions(c.r.Context(), c.session)
	if err != nil {
		return err
	}
	list := []account.SessionView{}
	for _, s := range all {
		list = append(list, account.SessionView{
			ID: s.ID.String(), Current: s.Current, Created: s.Created, Seen: s.Seen, Expires: s.Expires, Factor: s.Factor, Address: s.Address, Agent: s.Agent,
		})
	}
	return c.answer(http.StatusOK, map[string]any{"sessions": list})
}

func (c *call) endOthers() error {
	n, err := c.c.People.EndOthers(c.r.Context(), c.visit, c.session)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string]int{"ended": n})
}

func (c *call) endSession() error {
	id, err := people.ParseID[people.SessionID](c.r.PathValue("id"))
	if err != nil {
		return account.ErrNotFound
	}
	if err := c.c.People.EndSession(c.r.Context(), c.visit, c.session, id); err != nil {
		return err
	}
	if id == c.session.ID {
		c.setCookie(c.w, cookieSession, "", time.Time{})
	}
	return c.nothing()
}

func (c *call) devices() error {
	all, err := c.c.People.Devices(c.r.Context(), c.session)
	if err != nil {
		return err
	}
	list := []account.DeviceView{}
	for _, d := range all {
		list = append(list, account.DeviceView{ID: d.ID.String(), Name: d.Name, Created: d.Created, Seen: d.Seen, Expires: d.Expires})
	}
	return c.answer(http.StatusOK, map[string]any{"devices": list})
}

func (c *call) forgetDevice() error {
	id, err := people.ParseID[people.DeviceID](c.r.PathValue("id"))
	if err != nil {
		return account.ErrNotFound
	}
	if err := c.c.People.ForgetDevice(c.r.Context(), c.visit, c.session, id); err != nil {
		return err
	}
	return c.nothing()
}
