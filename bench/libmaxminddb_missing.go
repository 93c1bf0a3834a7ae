//go:build !libmaxminddb || !cgo

package main

import "errors"

func libmaxminddb() kind {
	return kind{
		name: libmaxminddbRow, what: "country and AS, in C",
		missing: "this program was built without it: install libmaxminddb-dev and run with -tags libmaxminddb",
		open:    func(*world) (contestant, error) { return nil, errors.New("built without libmaxminddb") },
	}
}
