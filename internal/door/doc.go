// Package door is what the ways in that are no plain net/http have in common:
// what they ask ([Decide]), the answer that they carry ([Answer]), and who may
// connect to them ([Listen]). Packages spoa and extauthz are such doors.
//
// Most want Decide. The package refuses listeners that others could reach
// without being named: whoever reaches a door is believed about who is asking.
package door
