package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
	"github.com/valyala/fasthttp"
)

// smallBody is the peers' answer.
type smallBody struct {
	IP       string `json:"ip"`
	Location struct {
		CountryCode string `json:"country_code"`
		Country     string `json:"country"`
	} `json:"location"`
	ASN struct {
		Number uint32 `json:"number"`
	} `json:"asn"`
}

// servePlainMain is what a Go programmer writes in an afternoon: a file and an
// address to listen at.
func servePlainMain(args []string) error {
	if len(args) != 2 {
		return errors.New("want FILE ADDR")
	}
	db, err := maxminddb.Open(args[0])
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/ip/{ip}", func(w http.ResponseWriter, r *http.Request) {
		addr, err := netip.ParseAddr(r.PathValue("ip"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var v struct {
			Country struct {
				ISOCode string `maxminddb:"iso_code"`
				Names   struct {
					English string `maxminddb:"en"`
				} `maxminddb:"names"`
			} `maxminddb:"country"`
			AS uint32 `maxminddb:"autonomous_system_number"`
		}
		if err := db.Lookup(addr).Decode(&v); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		var out smallBody
		out.IP = addr.String()
		out.Location.CountryCode, out.Location.Country, out.ASN.Number = v.Country.ISOCode, v.Country.Names.English, v.AS
		body, err := json.Marshal(&out)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = append(body, '\n')
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.Write(body)
	})
	s := &http.Server{Addr: args[1], Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	return s.ListenAndServe()
}

func startPlain(ctx context.Context, w *world, port string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServer(ctx, "127.0.0.1:"+port, self, "serve-plain", w.mmdb(), "127.0.0.1:"+port)
}

// serveFixedMain answers one body with fasthttp, with the headers that such an
// answer needs: what is left of the fast listener when nothing is looked up.
func serveFixedMain(args []string) error {
	if len(args) != 1 {
		return errors.New("want ADDR")
	}
	body := []byte(`{"ip":"203.0.113.100","location":{"country_code":"US","country":"United States"},"asn":{"number":64500}}` + "\n")
	s := &fasthttp.Server{
		NoDefaultServerHeader: true,
		Handler: func(c *fasthttp.RequestCtx) {
			c.SetContentType("application/json")
			c.SetBody(body)
		},
	}
	return s.ListenAndServe(args[0])
}

func startFixed(ctx context.Context, port string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return startServer(ctx, "127.0.0.1:"+port, self, "serve-fixed", "127.0.0.1:"+port)
}
