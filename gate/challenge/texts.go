package challenge

import "strings"

// Texts are the words of the page in one language; give all of them. They are
// escaped.
type Texts struct {
	Language string // of the html element, "en"
	// Title and Intro of the page; Privacy says what becomes of it.
	Title, Intro, Privacy string
	// Working, Done: of the computation; Captcha below the widget.
	Working, Done, Captcha string
	Start, Button          string // on buttons
	// NoScript and Waiting: with %d, the seconds. Instead is a link to the wait.
	NoScript, Waiting, Instead string
	Cookies                    string // the browser takes none
	Again                      string // a clearance did not hold, or an attempt failed
	Fallback                   string // the challenge proper is away
	// What went wrong, each below a title, and the link that leads back.
	Failed, Old, Used, Invalid, Away, Busy, Back string
}

// DefaultTexts returns the languages that are there: English, which stands for
// all others, German, Spanish and French.
func DefaultTexts() map[string]Texts {
	return map[string]Texts{
		"en": {
			Language: "en",
			Title:    "One moment",
			Intro:    "This site checks that requests from your network are not sent in bulk by a machine.",
			Privacy:  "This site keeps nothing about you for this. A cookie remembers for a while that the check was done.",
			Working:  "Your browser is doing a small computation. It usually takes a second or two.", Done: "Done. You are being taken to the page.",
			Captcha: "The check above is loaded from the company that runs it, which learns of your visit.",
			Start:   "Start the check", Button: "Continue",
			NoScript: "Your browser runs no JavaScript. Wait %d seconds: a button will appear.",
			Waiting:  "Please wait %d seconds. A button will appear by itself.", Instead: "Takes too long? Wait and press a button instead",
			Cookies:  "Your browser accepts no cookies. They are needed to remember the check: please allow them for this site and reload the page.",
			Again:    "The last check did not help: it was too early, or your network has changed since. If you use a VPN or several networks at once, stay with one.",
			Fallback: "The usual check is not available now, so here is another one.",
			Failed:   "That did not work", Old: "This page is too old.", Used: "This check was used before.",
			Invalid: "This link is not complete, or was made for another site.", Away: "The check is not available now. Please try again in a few minutes.",
			Busy: "There are too many attempts from your network now. Please try again in a minute.", Back: "Try again",
		},
		"de": {
			Language: "de",
			Title:    "Einen Moment",
			Intro:    "Diese Website prüft, ob Anfragen aus Ihrem Netz massenhaft von einer Maschine kommen.",
			Privacy:  "Diese Website merkt sich dafür nichts über Sie. Ein Cookie merkt sich für einige Zeit, dass geprüft wurde.",
			Working:  "Ihr Browser rechnet kurz. Das dauert meist ein bis zwei Sekunden.", Done: "Fertig. Sie werden weitergeleitet.",
			Captcha: "Die Prüfung oben wird von der Firma geladen, die sie betreibt; sie erfährt von Ihrem Besuch.",
			Start:   "Prüfung starten", Button: "Weiter",
			NoScript: "Ihr Browser führt kein JavaScript aus. Warten Sie %d Sekunden: dann erscheint ein Knopf.",
			Waiting:  "Bitte warten Sie %d Sekunden. Ein Knopf erscheint von selbst.", Instead: "Dauert es zu lange? Stattdessen warten und einen Knopf drücken",
			Cookies:  "Ihr Browser nimmt keine Cookies an. Sie werden gebraucht, um sich die Prüfung zu merken: bitte erlauben Sie sie für diese Website und laden Sie neu.",
			Again:    "Die letzte Prüfung hat nicht geholfen: sie kam zu früh, oder Ihr Netz hat sich seither geändert. Wenn Sie ein VPN oder mehrere Netze zugleich nutzen, bleiben Sie bei einem.",
			Fallback: "Die übliche Prüfung ist gerade nicht verfügbar, darum hier eine andere.",
			Failed:   "Das hat nicht geklappt", Old: "Diese Seite ist zu alt.", Used: "Diese Prüfung wurde schon benutzt.",
			Invalid: "Dieser Link ist unvollständig oder gehört zu einer anderen Website.", Away: "Die Prüfung ist gerade nicht verfügbar. Bitte versuchen Sie es in einigen Minuten noch einmal.",
			Busy: "Aus Ihrem Netz kommen gerade zu viele Versuche. Bitte versuchen Sie es in einer Minute noch einmal.", Back: "Noch einmal versuchen",
		},
		"es": {
			Language: "es",
			Title:    "Un momento",
			Intro:    "Este sitio comprueba que las peticiones de su red no las envía en masa una máquina.",
			Privacy:  "Este sitio no guarda nada sobre usted para ello. Una cookie recuerda durante un tiempo que se hizo la comprobación.",
			Working:  "Su navegador está haciendo un pequeño cálculo. Suele tardar uno o dos segundos.", Done: "Listo. Pasando a la página.",
			Captcha: "La comprobación de arriba se carga desde la empresa que la ofrece, que sabrá de su visita.",
			Start:   "Empezar", Button: "Continuar",
			NoScript: "Su navegador no ejecuta JavaScript. Espere %d segundos: aparecerá un botón.",
			Waiting:  "Espere %d segundos, por favor. Un botón aparecerá solo.", Instead: "¿Tarda demasiado? Esperar y pulsar un botón",
			Cookies:  "Su navegador no acepta cookies. Hacen falta para recordar la comprobación: permítalas para este sitio y recargue la página.",
			Again:    "La última comprobación no sirvió: fue demasiado pronto o su red ha cambiado. Si usa una VPN o varias redes a la vez, quédese con una.",
			Fallback: "La comprobación habitual no está disponible ahora; aquí tiene otra.",
			Failed:   "No ha funcionado", Old: "Esta página es demasiado antigua.", Used: "Esta comprobación ya se usó.",
			Invalid: "Este enlace no está completo o es de otro sitio.", Away: "La comprobación no está disponible ahora. Inténtelo de nuevo en unos minutos.",
			Busy: "Hay demasiados intentos desde su red. Inténtelo de nuevo en un minuto.", Back: "Intentar de nuevo",
		},
		"fr": {
			Language: "fr",
			Title:    "Un instant",
			Intro:    "Ce site vérifie que les requêtes de votre réseau ne sont pas envoyées en masse par une machine.",
			Privacy:  "Ce site ne garde rien sur vous pour cela. Un cookie retient pendant un moment que la vérification est faite.",
			Working:  "Votre navigateur fait un petit calcul. Cela prend une ou deux secondes.", Done: "C’est fait. La page arrive.",
			Captcha: "La vérification ci-dessus est chargée depuis l’entreprise qui la propose ; elle saura que vous êtes venu.",
			Start:   "Commencer", Button: "Continuer",
			NoScript: "Votre navigateur n’exécute pas JavaScript. Attendez %d secondes : un bouton apparaîtra.",
			Waiting:  "Veuillez attendre %d secondes. Un bouton apparaîtra tout seul.", Instead: "C’est trop long ? Attendre et appuyer sur un bouton",
			Cookies:  "Votre navigateur n’accepte pas les cookies. Ils servent à retenir la vérification : autorisez-les pour ce site et rechargez la page.",
			Again:    "La dernière vérification n’a pas aidé : elle est venue trop tôt, ou votre réseau a changé. Si vous utilisez un VPN ou plusieurs réseaux à la fois, gardez-en un seul.",
			Fallback: "La vérification habituelle n’est pas disponible ; en voici une autre.",
			Failed:   "Cela n’a pas marché", Old: "Cette page est trop ancienne.", Used: "Cette vérification a déjà servi.",
			Invalid: "Ce lien n’est pas complet, ou vient d’un autre site.", Away: "La vérification n’est pas disponible. Réessayez dans quelques minutes.",
			Busy: "Il y a trop d’essais depuis votre réseau. Réessayez dans une minute.", Back: "Réessayer",
		},
	}
}

// textsFor picks the first language of an Accept-Language field that is there.
// Weights are not read: browsers write the most wanted first.
func (c *Challenges) textsFor(accept string) *Texts {
	for range 10 {
		var tag string
		tag, accept, _ = strings.Cut(accept, ",")
		tag, _, _ = strings.Cut(tag, ";")
		tag = strings.ToLower(strings.TrimSpace(tag))
		if t, ok := c.texts[tag]; ok {
			return t
		}
		main, _, _ := strings.Cut(tag, "-")
		if t, ok := c.texts[main]; ok {
			return t
		}
		if accept == "" {
			break
		}
	}
	return c.texts["en"]
}
