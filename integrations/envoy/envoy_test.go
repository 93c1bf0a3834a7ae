package envoy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	bootstrap "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extauthzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3" // the descriptions of what the file has
	hcm "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	early "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/goccy/go-yaml"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/ipwarden/ipwarden/gate"
	"github.com/ipwarden/ipwarden/internal/extauthz"
	"github.com/ipwarden/ipwarden/internal/proxytest"
)

// settings is what the file says of the connections and of the questions.
func settings(t *testing.T) (*hcm.HttpConnectionManager, *extauthzv3.ExtAuthz, *early.HeaderMutation) {
	t.Helper()
	text, err := os.ReadFile("envoy.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree any
	if err := yaml.UnmarshalWithOptions(text, &tree, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	var boot bootstrap.Bootstrap
	if err := protojson.Unmarshal(b, &boot); err != nil { // every name and type is known
		t.Fatal(err)
	}
	if err := boot.ValidateAll(); err != nil {
		t.Fatal(err)
	}
	var manager hcm.HttpConnectionManager
	var filter extauthzv3.ExtAuthz
	var mutation early.HeaderMutation
	listener := boot.GetStaticResources().GetListeners()[0]
	for _, c := range []struct {
		name string
		err  error
	}{
		{"manager", listener.GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(&manager)},
		{"filter", manager.GetHttpFilters()[0].GetTypedConfig().UnmarshalTo(&filter)},
		{"mutation", manager.GetEarlyHeaderMutationExtensions()[0].GetTypedConfig().UnmarshalTo(&mutation)},
		{"manager", manager.ValidateAll()},
		{"filter", filter.ValidateAll()},
		{"mutation", mutation.ValidateAll()},
	} {
		if c.err != nil {
			t.Fatalf("%s: %v", c.name, c.err)
		}
	}
	return &manager, &filter, &mutation
}

func TestConfiguration(t *testing.T) {
	manager, filter, mutation := settings(t)
	if !filter.GetEncodeRawHeaders() || filter.GetTransportApiVersion() != core.ApiVersion_V3 || filter.GetWithRequestBody() != nil || filter.GetAllowedHeaders() != nil {
		t.Errorf("not every field line is told: %v", filter)
	}
	if !manager.GetUseRemoteAddress().GetValue() || !manager.GetNormalizePath().GetValue() || !manager.GetMergeSlashes() ||
		manager.GetPathWithEscapedSlashesAction() != hcm.HttpConnectionManager_REJECT_REQUEST {
		t.Error("the path that is decided about may be another than the application's")
	}
	// Whatever the gate tells an application is removed when the client says it.
	var removed []string
	for _, m := range mutation.GetMutations() {
		removed = append(removed, m.GetRemove())
	}
	for _, name := range []string{
		gate.HeaderASN, gate.HeaderCountry, gate.HeaderDecision, gate.HeaderIP, gate.HeaderReason, gate.HeaderRisk, gate.HeaderRule,
		gate.HeaderTags, gate.HeaderTier, gate.HeaderTraits, gate.HeaderVerdict, "X-Envoy-Auth-Failure-Mode-Allowed",
	} {
		if !slices.Contains(removed, strings.ToLower(name)) {
			t.Errorf("%s of a client reaches the application when there is no answer", name)
		}
	}
}

type world struct {
	t       *testing.T
	addr    string
	gate    *proxytest.Gate
	client  auth.AuthorizationClient
	timeout time.Duration // of the configuration
	stop    func()
}

func start(t *testing.T) *world {
	t.Helper()
	_, filter, _ := settings(t)
	w := &world{t: t, addr: proxytest.FreeAddr(t), gate: proxytest.NewGate(t), timeout: filter.GetGrpcService().GetTimeout().AsDuration()}
	conn, err := grpc.NewClient(w.addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	w.client = auth.NewAuthorizationClient(conn)
	w.serve()
	return w
}

// serve runs the service until stop is called or the test ends.
func (w *world) serve() {
	w.t.Helper()
	asked := w.gate.Door(true)
	s, err := extauthz.New(extauthz.Config{Decide: asked.Decide, Removes: asked.Removes, Linger: -1, Grace: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	ln, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := s.Serve(ctx, ln); err != nil {
			w.t.Errorf("the service: %v", err)
		}
	}()
	w.stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.t.Cleanup(w.stop)
}

// ask asks as Envoy does about a request that the load balancer on this machine
// passed on for client.
func (w *world) ask(timeout time.Duration, client, path string, lines ...string) (*auth.CheckResponse, error) {
	http := &auth.AttributeContext_HttpRequest{
		Id: "1", Method: "GET", Path: path, Host: "shop.example:8443", Scheme: "http", Size: -1, Protocol: "HTTP/1.1",
		HeaderMap: &core.HeaderMap{},
	}
	for _, l := range append([]string{"host: shop.example:8443", "x-forwarded-for: 198.51.100.20, " + client + ",127.0.0.1"}, lines...) {
		name, value, _ := strings.Cut(l, ": ")
		http.HeaderMap.Headers = append(http.HeaderMap.Headers, &core.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), timeout)
	defer cancel()
	return w.client.Check(ctx, &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{
			SocketAddress: &core.SocketAddress{Address: "127.0.0.1", PortSpecifier: &core.SocketAddress_PortValue{PortValue: 40000}},
		}}},
		Request: &auth.AttributeContext_Request{Http: http},
	}})
}

const patient = 10 * time.Second

func TestContract(t *testing.T) {
	w := start(t)
	t.Run("pass", func(t *testing.T) {
		r, err := w.ask(patient, "8.8.8.8", "/some/where?a=1", "x-real-ip: 198.51.100.20", "x-ipwarden-verdict: allow", "x-ipwarden-clearance: 1", "cookie: a=b")
		if err != nil || r.GetStatus().GetCode() != int32(codes.OK) || r.ValidateAll() != nil {
			t.Fatalf("%v, %v, %v", r, err, r.ValidateAll())
		}
		got := map[string]string{}
		for _, h := range r.GetOkResponse().GetHeaders() {
			got[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		}
		for name, want := range map[string]string{
			"X-Ipwarden-Verdict": "allow", "X-Ipwarden-Country": "US", "X-Ipwarden-Asn": "15169", "X-Ipwarden-Ip": "8.8.8.8",
			"X-Forwarded-For": "8.8.8.8", "X-Real-Ip": "8.8.8.8", "Forwarded": "for=8.8.8.8",
		} {
			if got[name] != want {
				t.Errorf("the application sees %s: %q, want %q", name, got[name], want)
			}
		}
		if rm := r.GetOkResponse().GetHeadersToRemove(); !slices.Equal(rm, []string{"x-ipwarden-clearance"}) {
			t.Errorf("removed are %q", rm)
		}
	})
	t.Run("refusals", func(t *testing.T) {
		for _, c := range []struct {
			path, client     string
			status           int32
			location, accept string
			words            string
		}{
			{"/block", "8.8.8.8", 403, "", "*/*", `"title":"Not allowed"`},
			{"/", "185.220.101.1", 403, "", "text/html", "<h1>Not allowed</h1>"},
			{"/challenge", "8.8.8.8", 302, "/.ipwarden/challenge?to=%2Fchallenge", "*/*", ""},
			{"/moved", "8.8.8.8", 302, "/elsewhere", "*/*", ""},
			{"/a%5cb", "8.8.8.8", 400, "", "*/*", "two ways"},
		} {
			r, err := w.ask(patient, c.client, c.path, "accept: "+c.accept)
			if err != nil || r.GetStatus().GetCode() == int32(codes.OK) || r.ValidateAll() != nil {
				t.Fatalf("%s: %v, %v, %v", c.path, r, err, r.ValidateAll())
			}
			d := r.GetDeniedResponse()
			location := ""
			for _, h := range d.GetHeaders() {
				if h.GetHeader().GetKey() == "Location" {
					location = h.GetHeader().GetValue()
				}
			}
			if int32(d.GetStatus().GetCode()) != c.status || location != c.location || !strings.Contains(d.GetBody(), c.words) {
				t.Errorf("%s: %v", c.path, d)
			}
		}
	})
	t.Run("limits", func(t *testing.T) {
		for i := range 3 {
			r, err := w.ask(patient, "81.2.69.142", "/limited")
			if err != nil {
				t.Fatal(err)
			}
			headers := fmt.Sprint(r.GetDeniedResponse().GetHeaders(), r.GetOkResponse().GetResponseHeadersToAdd())
			if !strings.Contains(headers, "Ratelimit") || strings.Contains(headers, "Retry-After") != (i == 2) ||
				(r.GetDeniedResponse().GetStatus().GetCode() == 429) != (i == 2) {
				t.Errorf("request %d: %v", i+1, r)
			}
		}
	})
}

// A gate that takes longer than the configuration waits, and one that is gone,
// are errors to Envoy, whose failure_mode_allow takes over: the request passes.
// When it is back, it is asked again.
func TestGateAway(t *testing.T) {
	w := start(t)
	if _, err := w.ask(patient, "8.8.8.8", "/block"); err != nil {
		t.Fatal(err)
	}
	w.gate.SetSlow(true)
	if _, err := w.ask(w.timeout, "8.8.8.8", "/block"); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("slow: %v", err)
	}
	w.gate.SetSlow(false)
	w.stop()
	if _, err := w.ask(patient, "8.8.8.8", "/block"); status.Code(err) != codes.Unavailable {
		t.Errorf("gone: %v", err)
	}
	w.serve()
	proxytest.Eventually(t, "it is asked again", func() bool {
		r, err := w.ask(patient, "8.8.8.8", "/block")
		return err == nil && r.GetDeniedResponse().GetStatus().GetCode() == 403
	})
}
