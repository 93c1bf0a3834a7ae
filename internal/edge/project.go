package edge

import (
	"encoding/base64"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ipwarden/ipwarden/internal/edge/pack"
	"github.com/ipwarden/ipwarden/policy"
)

// project writes the files round the engine.
type project struct {
	cfg   *Config
	c     policy.Config
	parts *Parts
	kv    bool
}

const written = "// Written by 'ipwarden edge build'.\n"

func (g *project) files(platform string) []File {
	switch platform {
	case "cloudflare":
		return []File{{"worker.js", g.worker()}, {"wrangler.toml", g.wrangler()}}
	case "vercel":
		// An edge function has no files: what it loads is in its modules.
		return []File{{"data.js", g.data()}, {"gate.js", g.gate("import engine from \"./engine.wasm?module\";\nimport { program, dataset } from \"./data.js\";\n", "engine, program, dataset")}}
	}
	return []File{{"gate.js", g.gate("import { readFileSync } from \"node:fs\";\n\nconst file = (name) => readFileSync(new URL(name, import.meta.url));\n",
		"engine: new WebAssembly.Module(file(\"engine.wasm\")), program: file(\"program.bin\"), dataset: file(\"dataset.bin\")")}}
}

// data is the program and the dataset as a module.
func (g *project) data() []byte {
	return fmt.Appendf(nil, "%sconst bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));\nexport const program = bytes(%q);\nexport const dataset = bytes(%q);\n",
		written, base64.StdEncoding.EncodeToString(g.parts.Program), base64.StdEncoding.EncodeToString(g.parts.Dataset))
}

// options are those of the Gate, beside who decides.
func (g *project) options(indent string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%sfail: %q,\n", indent, g.c.DefaultRoute.FailMode)
	if routes := g.routes(); len(routes) > 0 {
		fmt.Fprintf(&b, "%sroutes: [\n", indent)
		for _, r := range routes {
			fmt.Fprintf(&b, "%s  { %s },\n", indent, r)
		}
		fmt.Fprintf(&b, "%s],\n", indent)
	}
	safe := g.cfg.Policy.Program.Safe()
	fmt.Fprintf(&b, "%ssafe: { limit: %d, window: %d },\n", indent, safe.Limit, max(1, int(safe.Window.Seconds())))
	if !g.cfg.Remote {
		var names []string
		for _, n := range []string{"asn", "country", "decision", "degraded", "ip", "reason", "risk", "rule", "tags", "tier", "traits"} {
			if i := slices.Index(tells, n); i < 0 || g.parts.Told&[]pack.Told{pack.TellCountry, pack.TellASN, pack.TellTraits, pack.TellRisk}[i] != 0 {
				names = append(names, quoted(n))
			}
		}
		fmt.Fprintf(&b, "%senrich: [%s], // what is whole in the dataset\n", indent, strings.Join(names, ", "))
	}
	if g.kv || g.cfg.Remote {
		fmt.Fprintf(&b, "%sbudget: 1000, // milliseconds, also while the dataset is being loaded\n", indent)
	}
	return b.String()
}

// routes are those of the policy, in their order: a Gate's have one method, one host and
// one path each.
func (g *project) routes() []string {
	var all []string
	any := func(texts []string) []string {
		if len(texts) == 0 {
			return []string{""}
		}
		return texts
	}
	for i := range g.c.Routes {
		r := &g.c.Routes[i]
		for _, m := range any(r.Methods) {
			for _, h := range any(r.Hosts) {
				for _, p := range any(r.Paths) {
					var parts []string
					for _, x := range [...][2]string{{"method", m}, {"host", h}, {"path", p}} {
						if x[1] != "" {
							parts = append(parts, x[0]+": "+quoted(x[1]))
						}
					}
					all = append(all, strings.Join(append(parts, fmt.Sprintf("fail: %q", r.FailMode)), ", "))
				}
			}
		}
	}
	return all
}

func (g *project) then(indent, env string) string {
	if !g.cfg.Remote {
		return ""
	}
	return fmt.Sprintf(",\n%sthen: new Remote({ url: %[2]s.IPWARDEN_URL ?? \"\", token: %[2]s.IPWARDEN_TOKEN ?? \"\" })", indent, env)
}

func (g *project) worker() []byte {
	var b strings.Builder
	names, data, from := "Local, protect", "", "env.IPWARDEN_KV, needs: "+quoted(needsName(g.parts.Needs))
	if g.cfg.Remote {
		names = "Local, Remote, protect"
	}
	if !g.kv {
		data, from = "import dataset from \"./dataset.bin\";\n", "dataset"
	}
	fmt.Fprintf(&b, `%simport { %s } from "./ipwarden.js";
import engine from "./engine.wasm";
import program from "./program.bin";
%s
let worker; // one an isolate: it holds the engine and the counts

function make(env) {
  return protect({
    decider: new Local({
      engine, program, dataset: %s%s,
    }),
%s  });
}

export default {
  fetch(request, env, context) {
    try {
      worker ??= make(env);
    } catch (e) {
      console.error(String(e)); // nobody else's business; and nothing is let through
      return new Response("The gate of this site is not configured.\n", { status: 500, headers: { "cache-control": "no-store" } });
    }
    return worker.fetch(request, env, context);
  },
};
`, written, names, data, from, g.then("      ", "env"), g.options("    "))
	return []byte(b.String())
}

func (g *project) wrangler() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by 'ipwarden edge build'.\nname = %s\nmain = \"worker.js\"\ncompatibility_date = \"2026-04-01\"\n\n", quoted(g.cfg.Worker))
	b.WriteString("# Which requests come to the Worker:\n# routes = [{ pattern = \"example.com/*\", zone_name = \"example.com\" }]\n")
	if g.cfg.Remote {
		b.WriteString("\n[vars]\nIPWARDEN_URL = \"https://ipwarden.example.org\" # the gate; its token is a secret: wrangler secret put IPWARDEN_TOKEN\n")
	}
	if g.kv {
		id := g.cfg.KVNamespace
		if id == "" {
			id = "put the id here that wrangler kv namespace create IPWARDEN_KV prints"
		}
		fmt.Fprintf(&b, "\n[[kv_namespaces]]\nbinding = \"IPWARDEN_KV\"\nid = %s\n", quoted(id))
	}
	return []byte(b.String())
}

// gate is the module of platforms that have one function of the application's own.
func (g *project) gate(imports, parts string) []byte {
	names := "Gate, Local"
	if g.cfg.Remote {
		names = "Gate, Local, Remote"
	}
	return fmt.Appendf(nil, `%simport { %s } from "./ipwarden.js";
%s
/** Decides, in this process. */
export const decider = new Local({
  %s%s,
});

export const options = {
  decider,
%s};

/** For an adapter of @ipwarden/edge. For who has none: gate.check(facts, context) says what comes of a request. */
export const gate = new Gate(options);
`, written, names, imports, parts, g.then("  ", "process.env"), g.options("  "))
}

func (g *project) readme(platform string, b *Built) []byte {
	var t strings.Builder
	fmt.Fprintf(&t, "# The gate at the edge\n\nWritten by 'ipwarden edge build' from %s, with data of %s: %d ranges of addresses, %d distinct answers.\n",
		filepath.Base(g.cfg.Name), b.Date.Format("2006-01-02"), b.Sizes.Ranges, b.Sizes.Answers)
	switch {
	case platform == "cloudflare" && g.kv:
		t.WriteString("\nOnce: `npx wrangler kv namespace create IPWARDEN_KV`, and put the id into wrangler.toml (or build with --kv-namespace).\nThen, after every build:\n\n    npx wrangler kv bulk put kv.json --binding IPWARDEN_KV --remote\n    npx wrangler deploy\n\nOf new data alone the first command is enough: isolates take it up within five minutes.\nA dataset belongs to its policy: of a policy that asks for other things do both at once.\n")
	case platform == "cloudflare":
		t.WriteString("\nSay in wrangler.toml which requests come here, then:\n\n    npx wrangler dev\n    npx wrangler deploy\n")
	default:
		t.WriteString("\nGive `gate` of gate.js to an adapter of @ipwarden/edge; docs/edge-platforms.md of ipwarden has an example for each.\n")
	}
	if g.cfg.Remote {
		t.WriteString("\nWhat the policy lets in is asked about at IPWARDEN_URL with IPWARDEN_TOKEN.\n")
	}
	t.WriteString("\nWhat the edge does otherwise than a gate:\n\n")
	for _, n := range b.Notes {
		fmt.Fprintf(&t, "- %s\n", n)
	}
	return []byte(t.String())
}
