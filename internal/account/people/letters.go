package people

import (
	"strconv"
	"time"

	"github.com/ipwarden/ipwarden/internal/mail"
)

// Where links lead: pages that take ?token=, and those of who is signed in.
const (
	PathConfirm  = "/account/confirm"
	PathReset    = "/account/reset"
	PathMail     = "/account/mail"
	PathSignIn   = "/account/sign-in"
	PathForgot   = "/account/forgot"
	PathKeys     = "/account/keys"
	PathSecurity = "/account/security"
)

// link is a page that takes a token. Opening the page uses nothing up: programs that look
// after mail open links, and only the form on the page does what it says.
func (p *People) link(path, token string) string { return p.c.URL + path + "?token=" + token }

// site is what the installation is called in letters.
func (p *People) site() string { return p.c.Name }

// from says where something was asked for, for who did not ask.
func (p *People) from(v Visit) []mail.Fact {
	facts := []mail.Fact{{Name: "Time", Value: p.moment().Format("2006-01-02 15:04") + " UTC"}}
	if a := v.address(); a != "" {
		facts = append(facts, mail.Fact{Name: "Address", Value: a})
	}
	if a := v.agent(); a != "" {
		facts = append(facts, mail.Fact{Name: "Program", Value: Program(a)})
	}
	return facts
}

const notYou = "If it was not you, there is nothing to do: without the link nothing happens."

func (p *People) letterConfirm(v Visit, token string) mail.Letter {
	return mail.Letter{
		Kind: "confirm", Subject: "Confirm your address for " + p.site(), Expires: p.moment().Add(ConfirmLife),
		Before: []string{"Somebody wants an account at " + p.site() + " with this address. If it was you, choose a password, and you get your first key:"},
		Link:   mail.Link{Label: "Confirm this address", URL: p.link(PathConfirm, token)}, Facts: p.from(v),
		After: []string{"The link works once, for " + span(ConfirmLife) + ". " + notYou},
	}
}

func (p *People) letterKnown(v Visit, token string) mail.Letter {
	return mail.Letter{
		Kind: "known", Subject: "You have an account at " + p.site(), Expires: p.moment().Add(ResetLife),
		Before: []string{"Somebody wanted to make an account at " + p.site() + " with this address, which has one. Sign in at " + p.c.URL + PathSignIn + ", or set a new password:"},
		Link:   mail.Link{Label: "Set a new password", URL: p.link(PathReset, token)}, Facts: p.from(v),
		After: []string{"The link works once, for " + span(ResetLife) + ". " + notYou},
	}
}

func (p *People) letterReset(v Visit, token string) mail.Letter {
	return mail.Letter{
		Kind: "reset", Subject: "Set a new password for " + p.site(), Expires: p.moment().Add(ResetLife),
		Before: []string{"Somebody asked for a new password of your account at " + p.site() + "."},
		Link:   mail.Link{Label: "Set a new password", URL: p.link(PathReset, token)}, Facts: p.from(v),
		After: []string{"The link works once, for " + span(ResetLife) + ". " + notYou},
	}
}

func (p *People) letterUnknown(v Visit, token string, open bool) mail.Letter {
	l := mail.Letter{
		Kind: "unknown", Subject: "There is no account of yours at " + p.site(), Expires: p.moment().Add(ResetLife),
		Before: []string{"Somebody asked for a new password at " + p.site() + " with this address, which has no account. Perhaps you have another address there."},
		Facts:  p.from(v), After: []string{notYou},
	}
	if open {
		l.Expires = p.moment().Add(ConfirmLife)
		l.Link = mail.Link{Label: "Make an account", URL: p.link(PathConfirm, token)}
		l.After = []string{"The link works once, for " + span(ConfirmLife) + ". " + notYou}
	}
	return l
}

func (p *People) letterWelcome(key string) mail.Letter {
	l := mail.Letter{
		Kind: "welcome", Subject: "Your account at " + p.site(),
		Before: []string{"Your address is confirmed, and your first key was made and shown. A key is shown once; if you did not keep it, make another:"},
		Link:   mail.Link{Label: "Your keys", URL: p.c.URL + PathKeys},
		After:  []string{"A second factor keeps the account yours when the password gets lost: " + p.c.URL + PathSecurity},
	}
	if key != "" {
		l.Before = []string{"Your address is confirmed. This is your first key; who has it can use it, so delete this letter when you have kept the key elsewhere:"}
		l.Facts = []mail.Fact{{Name: "Key", Value: key}}
	}
	return l
}

// notice is a letter about what has been done.
func (p *People) notice(kind, subject, text string, v Visit) mail.Letter {
	return mail.Letter{
		Kind: kind, Subject: subject, Before: []string{text}, Facts: p.from(v),
		Link:  mail.Link{Label: "Look after your account", URL: p.c.URL + PathSecurity},
		After: []string{"If it was not you, set a new password at once, which ends all sessions: " + p.c.URL + PathForgot},
	}
}

func (p *People) letterPassword(v Visit) mail.Letter {
	return p.notice("password", "Your password at "+p.site()+" was changed", "Your password was changed, and all other sessions were ended.", v)
}

func (p *People) letterFactor(v Visit, on bool) mail.Letter {
	if on {
		return p.notice("factor-on", "A second factor at "+p.site(), "From now on signing in wants a code of your authenticator app. Keep the recovery codes where the app is not.", v)
	}
	return p.notice("factor-off", "No more second factor at "+p.site(), "From now on the password alone signs in.", v)
}

func (p *People) letterRecoveryUsed(v Visit, left int) mail.Letter {
	return p.notice("recovery", "A recovery code was used at "+p.site(), "Somebody signed in with your password and a recovery code. There are "+strconv.Itoa(left)+" left.", v)
}

func (p *People) letterMove(v Visit, token string) mail.Letter {
	return mail.Letter{
		Kind: "move", Subject: "Confirm your new address for " + p.site(), Expires: p.moment().Add(ChangeLife),
		Before: []string{"Somebody wants to use this address for their account at " + p.site() + "."},
		Link:   mail.Link{Label: "Use this address", URL: p.link(PathMail, token)}, Facts: p.from(v),
		After: []string{"The link works once, for " + span(ChangeLife) + ". " + notYou},
	}
}

func (p *People) letterMoveTaken(v Visit) mail.Letter {
	return mail.Letter{
		Kind: "move-taken", Subject: "You have an account at " + p.site(), Expires: p.moment().Add(ChangeLife),
		Before: []string{"Somebody who has an account at " + p.site() + " wants to use this address for it. It has an account of its own already, so nothing was changed. If it was you, delete one of the two first."},
		Facts:  p.from(v), After: []string{"If it was not you, there is nothing to do."},
	}
}

func (p *People) letterMoving(v Visit, to string) mail.Letter {
	l := p.notice("moving", "Another address for your account at "+p.site(), "Somebody who is signed in to your account, and knows its password, wants another address for it. It is in force when it was confirmed there.", v)
	l.Facts = append([]mail.Fact{{Name: "New address", Value: to}}, l.Facts...)
	return l
}

func (p *People) letterMoved(v Visit, to string) mail.Letter {
	l := p.notice("moved", "The address of your account at "+p.site()+" was changed", "From now on your account has another address. Letters go there, and it signs in.", v)
	l.Facts = append([]mail.Fact{{Name: "New address", Value: to}}, l.Facts...)
	l.After = []string{"If it was not you, answer to who runs this server at once."}
	return l
}

func (p *People) letterDeleted(v Visit) mail.Letter {
	return mail.Letter{
		Kind: "deleted", Subject: "Your account at " + p.site() + " was deleted", Facts: p.from(v),
		Before: []string{"Your account is gone, with its keys, what it has used, and all that said whose it was. This is the last letter."},
	}
}

// span says a time in words.
func span(d time.Duration) string {
	if h := int(d / time.Hour); h > 1 {
		return strconv.Itoa(h) + " hours"
	}
	return "an hour"
}
