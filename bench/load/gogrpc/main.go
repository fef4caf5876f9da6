// The Go baseline: a backend that answers Centrifugo's proxy calls on grpc-go, echoing payloads.
package main

import (
	"context"
	"flag"
	"fmt"
	"net"

	"google.golang.org/grpc"

	pb "rtbridge/bench/pb"
)

type backend struct {
	pb.UnimplementedCentrifugoProxyServer
}

func (backend) Connect(_ context.Context, r *pb.ConnectRequest) (*pb.ConnectResponse, error) {
	return &pb.ConnectResponse{Result: &pb.ConnectResult{User: "u" + r.Client}}, nil
}

func (backend) Subscribe(context.Context, *pb.SubscribeRequest) (*pb.SubscribeResponse, error) {
	return &pb.SubscribeResponse{Result: &pb.SubscribeResult{}}, nil
}

func (backend) Publish(_ context.Context, r *pb.PublishRequest) (*pb.PublishResponse, error) {
	return &pb.PublishResponse{Result: &pb.PublishResult{Data: r.Data}}, nil
}

func (backend) RPC(_ context.Context, r *pb.RPCRequest) (*pb.RPCResponse, error) {
	return &pb.RPCResponse{Result: &pb.RPCResult{Data: r.Data}}, nil
}

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "listen here")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		panic(err)
	}
	s := grpc.NewServer()
	pb.RegisterCentrifugoProxyServer(s, backend{})
	fmt.Println("ready")
	panic(s.Serve(l))
}
