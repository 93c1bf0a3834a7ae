// Package routers puts the gate before the routers that people use: the lines of the
// page on the library, between the marks, compiled and run.
package routers

import (
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gofiber/fiber/v2"
	"github.com/gofiber/fiber/v2/middleware/adaptor"
	"github.com/labstack/echo/v4"

	"github.com/ipwarden/ipwarden/gate"
)

// Chi is go-chi/chi with the gate as its middleware.
func Chi(g *gate.Gate) (http.Handler, chi.Router) {
	// chi
	r := chi.NewRouter() // github.com/go-chi/chi/v5
	r.Use(g.Handler)
	// end
	return r, r
}

// Gin is gin-gonic/gin behind the gate.
func Gin(g *gate.Gate) (http.Handler, *gin.Engine) {
	// gin
	r := gin.New() // github.com/gin-gonic/gin
	handler := g.Handler(r)
	// end
	return handler, r
}

// Echo is labstack/echo with the gate as its middleware.
func Echo(g *gate.Gate) (http.Handler, *echo.Echo) {
	// echo
	e := echo.New() // github.com/labstack/echo/v4
	e.Use(echo.WrapMiddleware(g.Handler))
	// end
	return e, e
}

// Fiber is gofiber/fiber behind the gate, through net/http.
func Fiber(g *gate.Gate) (http.Handler, *fiber.App) {
	// fiber
	app := fiber.New() // github.com/gofiber/fiber/v2, behind net/http
	handler := g.Handler(adaptor.FiberApp(app))
	// end
	return handler, app
}
