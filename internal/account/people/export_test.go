package people

// Cheap makes hashes of passwords cheap: tests make many.
func (p *People) Cheap() { p.hash.memory = 64 }

// SetMailKeys changes the configuration.
func (p *People) SetMailKeys(on bool) { p.c.MailKeys = on }

// ParseKept, CheckPassword and Nobody are for the tests of passwords.
func ParseKept(s string) error { _, err := parseKept(s); return err }

func CheckPassword(password, email string) error { return checkPassword(password, email) }

const Nobody = nobody
