package account

// SetMaxKeys makes the bound of keys one that a test can reach.
func (s *Service) SetMaxKeys(n int) { s.maxKeys = n }
