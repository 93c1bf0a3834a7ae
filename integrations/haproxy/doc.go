// Package haproxy runs the configuration of this folder in a real HAProxy.
package haproxy
