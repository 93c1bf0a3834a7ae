package people

import "strings"

// unknownProgram is one that does not say what it is, or says more than that.
const unknownProgram = "an unknown program"

// Program says in words which browser or program a User-Agent is of. It is for its
// owner to know it again, and nothing rests on it. What it returns is never a sentence,
// an address or a link: letters have it, and anybody can have a letter sent to anybody.
func Program(agent string) string {
	program := ""
	for _, x := range [...][2]string{ // the first that fits: each names those behind it too
		{"Edg/", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
	} {
		if strings.Contains(agent, x[0]) {
			program = x[1]
			break
		}
	}
	if program == "" {
		name, _, _ := strings.Cut(strings.TrimSpace(agent), " ")
		name, _, _ = strings.Cut(name, "/")
		if name == "" || len(name) > 40 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
			return unknownProgram
		}
		return name
	}
	for _, x := range [...][2]string{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"Windows", "Windows"},
		{"Mac OS X", "macOS"},
		{"CrOS", "ChromeOS"},
		{"Linux", "Linux"},
	} {
		if strings.Contains(agent, x[0]) {
			return program + " on " + x[1]
		}
	}
	return program
}
