package redis

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
)

// ParseURL reads a Config from a URL:
//
//	redis://[user:password@]host[:port][,host[:port]…][/database][?cluster=1][&master=name]
//	rediss://…              the same with TLS
//	unix:///path/of/socket[?db=1]
//
// Its mistakes are reported all at once, and never show the password.
func ParseURL(text string) (Config, error) {
	const example = "; it is like redis://127.0.0.1:6379/0"
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return Config{}, errors.New("redis: a URL without a scheme" + example)
	}
	// Hosts with ports, several of them, are more than net/url takes: it gets the
	// first one only.
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	user := ""
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, authority = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse(scheme + "://" + user + "host" + path)
	if err != nil {
		return Config{}, errors.New("redis: a URL that cannot be read" + example) // its own error shows the password
	}
	var c Config
	var errs []error
	wrong := func(what string) { errs = append(errs, errors.New("redis: "+what+example)) }
	c.Username = u.User.Username()
	c.Password, _ = u.User.Password()
	query := u.Query()
	database := strings.TrimPrefix(u.Path, "/")
	switch scheme {
	case "redis", "rediss":
		for a := range strings.SplitSeq(authority, ",") {
			if a == "" {
				wrong("a URL with an empty host")
				continue
			}
			if _, port, err := net.SplitHostPort(a); err != nil {
				a = net.JoinHostPort(strings.Trim(a, "[]"), "6379")
			} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
				wrong("a URL with the port " + strconv.Quote(port) + ", which is no number from 1 to 65535")
			}
			c.Addresses = append(c.Addresses, a)
		}
		if scheme == "rediss" {
			c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			if host, _, err := net.SplitHostPort(authority); err == nil {
				c.TLS.ServerName = host
			}
		}
	case "unix":
		c.Addresses = []string{u.Path}
		database = query.Get("db")
		query.Del("db")
		if authority != "" || u.Path == "" {
			wrong("a URL of a socket has three slashes, such as unix:///run/redis.sock")
		}
	default:
		wrong("a URL of the scheme " + strconv.Quote(scheme))
	}
	if database != "" {
		if c.Database, err = strconv.Atoi(database); err != nil {
			wrong("the database " + strconv.Quote(database) + " is not a number")
		}
	}
	c.Master = query.Get("master")
	query.Del("master")
	switch v := query.Get("cluster"); v {
	case "", "0", "false":
	case "1", "true":
		c.Cluster = true
	default:
		wrong("cluster=" + v + " is neither 1 nor 0")
	}
	query.Del("cluster")
	for name := range query {
		wrong("the parameter " + strconv.Quote(name) + " is none of cluster, master")
	}
	return c, errors.Join(errs...)
}
