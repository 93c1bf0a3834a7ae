package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// nodePatience bounds what node may take: these are two shared cores at worst.
const nodePatience = 2 * time.Minute

// node runs a script of this folder with a question in JSON, and reads its
// answers into answers.
func node(t *testing.T, script string, question, answers any, env ...string) {
	t.Helper()
	from := proxytest.NodeModules(t, "clients")
	q, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), nodePatience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script, string(q))
	cmd.Env = append(os.Environ(), "NODE_PATH="+from, "NODE_OPTIONS=", "http_proxy=", "https_proxy=", "HTTP_PROXY=", "HTTPS_PROXY=")
	cmd.Env = append(cmd.Env, env...) // of several the last counts
	cmd.WaitDelay = time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("node %s: %v\n%s%s", script, err, errs.Bytes(), out.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), answers); err != nil {
		t.Fatalf("node %s: %v\n%s%s", script, err, errs.Bytes(), out.Bytes())
	}
}
