package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ipwarden/ipwarden"
	"github.com/ipwarden/ipwarden/internal/api"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

func main() {
	w := ipwardentest.Sample()
	a, err := api.New(api.Config{Data: func() api.Data { return w }, Info: func(api.Data) api.Info {
		return api.Info{Date: ipwardentest.SampleDate(), Hash: "abc", Size: 100, Feeds: []api.Feed{{Name: "ipfire", Title: "IPFire", Licence: "CC-BY-SA-4.0"}}}
	}, Scores: func(r ipwarden.Record, _ time.Time) ipwarden.Scores { return ipwarden.Scores{Trust: 80} }})
	if err != nil {
		panic(err)
	}
	s, err := api.Listen(api.ServerConfig{API: a, Listen: "127.0.0.1:8099", FastListen: "127.0.0.1:8098", AdminListen: "127.0.0.1:8097"})
	if err != nil {
		panic(err)
	}
	ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	fmt.Println("serving")
	fmt.Println(s.Run(ctx))
}
