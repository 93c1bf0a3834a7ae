package routers

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/gofiber/fiber/v2"
	"github.com/labstack/echo/v4"

	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/ipwardentest"
	"github.com/ipwarden/ipwarden/policy/compile"
)

const rules = `
rules:
  - {name: admin, action: block, when: 'request.path.startsWith("/admin")'}
limits:
  - {name: few, rate: 3/hour}
`

func newGate(t *testing.T) *gate.Gate {
	t.Helper()
	p, err := compile.Read("policy.yaml", []byte(rules), compile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gate.New(gate.Config{Source: ipwardentest.Sample(), Program: p.Program, Risk: p.Risk})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// told is what a handler answers: the country as the header has it, and as the
// context has it where there is one.
func told(r *http.Request) string {
	text := r.Header.Get(gate.HeaderCountry)
	if s, ok := gate.FromContext(r.Context()); ok {
		text += " " + s.Record.CountryCode() + " " + s.Verdict.String()
	}
	return text
}

func TestRouters(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	for name, start := range map[string]func(g *gate.Gate) (h http.Handler, want string){
		"chi": func(g *gate.Gate) (http.Handler, string) {
			h, r := Chi(g)
			r.Get("/users/{id}", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(told(r))) })
			return h, "US US allow"
		},
		"gin": func(g *gate.Gate) (http.Handler, string) {
			h, r := Gin(g)
			r.GET("/users/:id", func(c *gin.Context) { c.String(http.StatusOK, told(c.Request)) })
			return h, "US US allow"
		},
		"echo": func(g *gate.Gate) (http.Handler, string) {
			h, e := Echo(g)
			e.GET("/users/:id", func(c echo.Context) error { return c.String(http.StatusOK, told(c.Request())) })
			return h, "US US allow"
		},
		"fiber": func(g *gate.Gate) (http.Handler, string) {
			h, app := Fiber(g)
			app.Get("/users/:id", func(c *fiber.Ctx) error { return c.SendString(c.Get(gate.HeaderCountry)) })
			return h, "US" // the context is net/http's
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, want := start(newGate(t))
			ask := func(path string) *httptest.ResponseRecorder {
				r := httptest.NewRequest("GET", path, nil)
				r.RemoteAddr = "8.8.8.8:4711"
				r.Header.Set(gate.HeaderCountry, "SE") // forged
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w
			}
			if w := ask("/admin/x"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "decision_id") {
				t.Errorf("what is blocked: %d %s", w.Code, w.Body)
			}
			for range 3 {
				if w := ask("/users/7"); w.Code != http.StatusOK || w.Body.String() != want || w.Header().Get("RateLimit") == "" {
					t.Errorf("what passes: %d %v %q, want %q", w.Code, w.Header(), w.Body, want)
				}
			}
			if w := ask("/users/7"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" {
				t.Errorf("over the limit: %d %v", w.Code, w.Header())
			}
		})
	}
}

// The page on the library has these lines.
func TestThePageHasTheseLines(t *testing.T) {
	page, err := os.ReadFile("../../docs/library.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("routers.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"chi", "gin", "echo", "fiber"} {
		_, lines, _ := strings.Cut(string(program), "\t// "+name+"\n")
		lines, _, ok := strings.Cut(lines, "\t// end\n")
		if lines = strings.ReplaceAll(lines, "\n\t", "\n"); !ok || !strings.Contains(string(page), "\n"+strings.TrimPrefix(lines, "\t")) {
			t.Errorf("%s: the page has not:\n%s", name, lines)
		}
	}
}
