package feed

import "testing"

func TestASName(t *testing.T) {
	var a asNames
	for in, want := range map[string]string{
		// ARIN: handle, dash, name.
		"GOOGLE - Google LLC, US":                     "Google LLC",
		"NYS-BOE - NYS BOARD OF ELECTIONS, US":        "NYS BOARD OF ELECTIONS",
		"EYEMG - EYEMG - interactive media group, US": "interactive media group",
		"WORKSOFT-01 - Worksoft, Inc, US":             "Worksoft, Inc",
		// RIPE, APNIC, AFRINIC: handle, name.
		"FITL-IE Fort Technologies, GB":                 "Fort Technologies",
		"SVOD-AS Svod ltd., RU":                         "Svod ltd.",
		"WEBHOST-AS-AP Web Host Limited, HK":            "Web Host Limited",
		"IPONE IP-ONE B.V., NL":                         "IP-ONE B.V.",
		"MAXIMATELECOM MaximaTelecom JSC, RU":           "MaximaTelecom JSC",
		"KIAE-TRANSIT-AS Federal State Institution, RU": "Federal State Institution",
		// Not certain: kept.
		"A.P. Moller - Maersk A/S, DK":      "A.P. Moller - Maersk A/S",
		"UBMEX - DATA CENTER, BR":           "UBMEX - DATA CENTER",
		"MEGA NET SERVICOS EIRELI - ME, BR": "MEGA NET SERVICOS EIRELI - ME",
		"MULTI-BR TELECOM LTDA, BR":         "MULTI-BR TELECOM LTDA",
		"WI-FI Networks Ltd, GB":            "WI-FI Networks Ltd",
		"ALFAKS M. Swierk, PL":              "ALFAKS M. Swierk",
		"IT ITALIA, IT":                     "IT ITALIA",
		"Servicoop S.A., AR":                "Servicoop S.A.",
		// No name after the handle: the handle is the name.
		"CABLEMAR, HN":         "CABLEMAR",
		"GOOGLE-IT-RO-ISP, CH": "GOOGLE-IT-RO-ISP",
		"FOO - X, US":          "FOO - X",
		"FOO-AS 12345, US":     "FOO-AS 12345",
		// What is at the end.
		"SLLNET Stockholms Lans Landsting, na":       "SLLNET Stockholms Lans Landsting",
		"DMT-AS-KR Daejeon Telecom,,,,,,,,,,,,,, KR": "Daejeon Telecom",
		"A2 Hosting, Inc.":                           "A2 Hosting, Inc.",
		// No names.
		"-Reserved AS-, ZZ": "", "-Private Use AS-, ZZ": "", "UNKNOWN": "", "": "", ", US": ", US",
	} {
		if got := a.name([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := a.nameIn([]byte("Foo, SA"), "CH"); got != "Foo, SA" {
		t.Errorf("a legal form was taken for a country: %q", got)
	}
}
