package main

import (
	"context"
	"errors"
	"strings"
)

const (
	fastSmallRow = "ipwarden, fast listener, ?fields="
	netSmallRow  = "ipwarden, net/http, ?fields="
	fastFullRow  = "ipwarden, fast listener, the full body"
	bulkRow      = "ipwarden, fast listener, 100 a request (an address)"
	nginxRow     = "nginx + geoip2 module"
	plainRow     = "net/http + maxminddb-golang + encoding/json"
)

type httpRow struct{}

func servePlainMain([]string) error { return errors.New("HTTP is not measured yet") }
func runHTTP(_ context.Context, _ *options, _ *world, _ *report, progress func(string, ...any)) error {
	progress("HTTP is not measured yet")
	return nil
}
func (r *report) writeHTTP(b *strings.Builder) {}
