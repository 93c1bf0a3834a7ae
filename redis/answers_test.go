package redis

import (
	"testing"

	"github.com/ipwarden/ipwarden/internal/proxytest"
	"github.com/ipwarden/ipwarden/ipwardentest"
)

func answers(t *testing.T, c AnswersConfig) *Answers {
	t.Helper()
	a, err := NewAnswers(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func TestAnswersAreAStore(t *testing.T) {
	addr := proxytest.FreeAddr(t)
	start(t, addr)
	for name, cached := range map[string]bool{"plain": false, "client-side caching": true} {
		t.Run(name, func(t *testing.T) {
			ipwardentest.TestStore(t, answers(t, AnswersConfig{Server: Config{Addresses: []string{addr}}, ClientCache: cached}))
		})
	}
	t.Run("cluster", func(t *testing.T) {
		addrs, _ := startCluster(t)
		ipwardentest.TestStore(t, answers(t, AnswersConfig{Server: Config{Addresses: addrs, Cluster: true}}))
	})
}
