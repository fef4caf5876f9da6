package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "rtbridge/peer/proxypb"
)

type pointer[T any] interface {
	*T
	proto.Message
}

// unary makes one call: a request in protobuf's JSON in, the reply as generated code read it out.
type unary func(ctx context.Context, client pb.CentrifugoProxyClient, request []byte, options ...grpc.CallOption) (proto.Message, error)

func typed[Q, R any, PQ pointer[Q], PR pointer[R]](
	method func(pb.CentrifugoProxyClient, context.Context, PQ, ...grpc.CallOption) (PR, error),
) unary {
	return func(ctx context.Context, client pb.CentrifugoProxyClient, written []byte, options ...grpc.CallOption) (proto.Message, error) {
		request := PQ(new(Q))
		if err := protojson.Unmarshal(written, request); err != nil {
			return nil, fmt.Errorf("request: %w", err)
		}
		reply, err := method(client, ctx, request, options...)
		if err != nil {
			return nil, err
		}
		return reply, nil
	}
}

var methods = map[string]unary{
	"Connect":            typed(pb.CentrifugoProxyClient.Connect),
	"Refresh":            typed(pb.CentrifugoProxyClient.Refresh),
	"Subscribe":          typed(pb.CentrifugoProxyClient.Subscribe),
	"Publish":            typed(pb.CentrifugoProxyClient.Publish),
	"RPC":                typed(pb.CentrifugoProxyClient.RPC),
	"SubRefresh":         typed(pb.CentrifugoProxyClient.SubRefresh),
	"NotifyCacheEmpty":   typed(pb.CentrifugoProxyClient.NotifyCacheEmpty),
	"NotifyChannelState": typed(pb.CentrifugoProxyClient.NotifyChannelState),
	"MapPublish":         typed(pb.CentrifugoProxyClient.MapPublish),
	"MapRemove":          typed(pb.CentrifugoProxyClient.MapRemove),
	"SharedPollRefresh":  typed(pb.CentrifugoProxyClient.SharedPollRefresh),
}

type callArguments struct {
	Method   string          `json:"method"`
	Request  json.RawMessage `json:"request"`
	Bytes    []byte          `json:"bytes"`
	Metadata []struct {
		Key   string `json:"key"`
		Value []byte `json:"value"`
	} `json:"metadata"`
	// Timeout in milliseconds; 0 for none.
	Timeout int `json:"timeout"`
}

func (a callArguments) within(ctx context.Context) (context.Context, context.CancelFunc) {
	pairs := metadata.MD{}
	for _, each := range a.Metadata {
		pairs.Append(each.Key, string(each.Value))
	}
	ctx = metadata.NewOutgoingContext(ctx, pairs)
	if a.Timeout > 0 {
		return context.WithTimeout(ctx, time.Duration(a.Timeout)*time.Millisecond)
	}
	return context.WithCancel(ctx)
}

// unaryCall calls a method through the generated client.
func unaryCall(ctx context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	var arguments callArguments
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	method, known := methods[arguments.Method]
	if !known {
		return nil, fmt.Errorf("no method %q", arguments.Method)
	}
	ctx, cancel := arguments.within(ctx)
	defer cancel()
	codec := newRecorder()
	reply, err := method(ctx, pb.NewCentrifugoProxyClient(conn), arguments.Request, grpc.ForceCodecV2(codec))
	found := outcome(err)
	found["sent"], found["received"] = codec.last()
	if reply != nil {
		if err := tell(found, reply); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// rawCall sends bytes as they are to any path.
func rawCall(ctx context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	var arguments callArguments
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	ctx, cancel := arguments.within(ctx)
	defer cancel()
	var reply bare
	err = conn.Invoke(ctx, arguments.Method, &bare{arguments.Bytes}, &reply, grpc.ForceCodecV2(newRecorder()))
	found := outcome(err)
	found["received"] = reply.bytes
	return found, nil
}

func outcome(err error) answer {
	return answer{"code": status.Code(err).String(), "text": status.Convert(err).Message()}
}

// tell adds a reply, in protobuf's JSON with the names of the proto, and what of it was not understood.
func tell(found answer, reply proto.Message) error {
	written, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(reply)
	if err != nil {
		return err
	}
	found["reply"], found["unread"] = json.RawMessage(written), unread(reply)
	return nil
}
