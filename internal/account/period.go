package account

import (
	"fmt"

	"github.com/ipwarden/ipwarden/internal/customer"
)

// ParsePeriod reads what [customer.Period.String] wrote.
func ParsePeriod(s string) (customer.Period, error) {
	for p := customer.PerSecond; p <= customer.PerMonth; p++ {
		if p.String() == s {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%.60q is no period: there are second, minute, hour, day, month", s)
}
