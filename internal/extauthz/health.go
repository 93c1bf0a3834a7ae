package extauthz

import (
	"context"

	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// health is the service that Envoy's grpc_health_check asks.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	server *Server
}

// Check says whether questions are taken, for the server as a whole ("") and
// for the authorization service.
func (h *health) Check(_ context.Context, q *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	if name := q.GetService(); name != "" && name != auth.Authorization_ServiceDesc.ServiceName {
		return nil, status.Errorf(codes.NotFound, "there is no service %.64q here, but %q", name, auth.Authorization_ServiceDesc.ServiceName)
	}
	answer := grpc_health_v1.HealthCheckResponse_SERVING
	if h.server.stopping.Load() || h.server.cfg.Ready != nil && !h.server.cfg.Ready() {
		answer = grpc_health_v1.HealthCheckResponse_NOT_SERVING
	}
	return &grpc_health_v1.HealthCheckResponse{Status: answer}, nil
}
