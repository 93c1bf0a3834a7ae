package console

import (
	"encoding/json"
	"strings"

	"github.com/ipwarden/ipwarden/internal/account"
	"github.com/ipwarden/ipwarden/internal/account/people"
)

func clip(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// deeds are the actions of the log in words.
var deeds = map[string]string{
	account.ActionAdd: "Account made", account.ActionSuspend: "Account suspended", account.ActionResume: "Account resumed",
	account.ActionDelete: "Account deleted", account.ActionPlan: "Plan changed", account.ActionAlerts: "Letters chosen",
	account.ActionKeyNew: "Key made", account.ActionRotate: "Key replaced", account.ActionRevoke: "Key revoked",
	account.ActionChange: "Key changed", account.ActionReset: "All keys ended",
	account.ActionConfirm: "E-mail address confirmed", account.ActionSignIn: "Signed in", account.ActionSignInFailed: "Second step failed",
	account.ActionSignOut: "Signed out", account.ActionSessionEnd: "Session ended", account.ActionDeviceForget: "Device forgotten",
	account.ActionDeviceNew: "Device remembered", account.ActionPassword: "Password changed", account.ActionMailAsked: "Change of e-mail address asked for",
	account.ActionMail: "E-mail address changed", account.ActionTOTP: "Authenticator app turned on", account.ActionTOTPEnd: "Authenticator app turned off",
	account.ActionRecovery: "New recovery codes", account.ActionExport: "Data exported",
}

// deed says what an entry of the log is about.
func deed(e *account.Entry) string {
	if word := deeds[e.Action]; word != "" {
		return word
	}
	word := strings.NewReplacer(".", ": ", "-", " ", "_", " ").Replace(e.Action)
	if word == "" {
		return ""
	}
	return strings.ToUpper(word[:1]) + word[1:]
}

// particulars says more about an entry, for people.
func particulars(e *account.Entry) string {
	switch {
	case strings.HasPrefix(e.Detail, "{"): // what a key is to be
		var spec struct{ Kind, Mode, Name string }
		if json.Unmarshal([]byte(e.Detail), &spec) != nil {
			return ""
		}
		words := []string{}
		if spec.Name != "" {
			words = append(words, "“"+spec.Name+"”")
		}
		words = append(words, spec.Kind)
		if spec.Mode == "test" {
			words = append(words, spec.Mode)
		}
		return strings.Join(words, ", ")
	case strings.Contains(e.Detail, "Mozilla/"):
		return people.Program(e.Detail)
	}
	if e.Action == account.ActionRotate {
		return strings.TrimPrefix(e.Detail, "replaced ")
	}
	return clip(e.Detail, 120)
}
