package main

import (
	"context"
	"encoding/json"
	"time"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"
)

type healthArguments struct {
	Service string `json:"service"`
	Until   string `json:"until"`
	Timeout int    `json:"timeout"`
}

// checkHealth asks once, with grpc-go's own health client.
func checkHealth(ctx context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	var arguments healthArguments
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(arguments.Timeout)*time.Millisecond)
	defer cancel()
	reply, err := healthpb.NewHealthClient(conn).Check(ctx, &healthpb.HealthCheckRequest{Service: arguments.Service})
	found := outcome(err)
	found["status"] = reply.GetStatus().String()
	return found, nil
}

// watchHealth follows the state of a service until it is the one that is waited for, and lists all it was told.
func watchHealth(ctx context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	var arguments healthArguments
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(arguments.Timeout)*time.Millisecond)
	defer cancel()
	opened, err := healthpb.NewHealthClient(conn).Watch(ctx, &healthpb.HealthCheckRequest{Service: arguments.Service})
	seen := []string{}
	for err == nil {
		var reply *healthpb.HealthCheckResponse
		if reply, err = opened.Recv(); err != nil {
			break
		}
		seen = append(seen, reply.GetStatus().String())
		if seen[len(seen)-1] == arguments.Until {
			break
		}
	}
	found := outcome(err)
	found["seen"] = seen
	return found, nil
}
