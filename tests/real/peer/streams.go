package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	pb "rtbridge/peer/proxypb"
)

// stream is a subscribe stream of either kind; the unidirectional one cannot send.
type stream struct {
	codec     *recorder
	receive   func() (*pb.StreamSubscribeResponse, error)
	send      func(any) error
	closeSend func() error
}

// openStream begins a stream; a cancel command with its id ends it, as Centrifugo does when a client unsubscribes.
func openStream(ctx context.Context, p *peer, id int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	var arguments callArguments
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	// The stream outlives this command: the context's end is the cancel command's or the program's.
	ctx, _ = arguments.within(ctx)
	made := &stream{codec: newRecorder()}
	client, option := pb.NewCentrifugoProxyClient(conn), grpc.ForceCodecV2(made.codec)
	switch arguments.Method {
	case "SubscribeUnidirectional":
		var request pb.SubscribeRequest
		if err := protojson.Unmarshal(arguments.Request, &request); err != nil {
			return nil, err
		}
		opened, err := client.SubscribeUnidirectional(ctx, &request, option)
		if err != nil {
			return outcome(err), nil
		}
		made.receive = opened.Recv
	case "SubscribeBidirectional":
		opened, err := client.SubscribeBidirectional(ctx, option)
		if err != nil {
			return outcome(err), nil
		}
		made.receive, made.send, made.closeSend = opened.Recv, opened.SendMsg, opened.CloseSend
	default:
		return nil, fmt.Errorf("no stream %q", arguments.Method)
	}
	p.mu.Lock()
	p.streams[id] = made
	p.mu.Unlock()
	return answer{"code": "OK"}, nil
}

func (p *peer) stream(raw json.RawMessage) (*stream, error) {
	var arguments struct {
		Stream int `json:"stream"`
	}
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found, known := p.streams[arguments.Stream]
	if !known {
		return nil, fmt.Errorf("no stream %d", arguments.Stream)
	}
	return found, nil
}

// sendOnStream sends a message, or bytes that need not be one.
func sendOnStream(_ context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	found, err := p.stream(raw)
	if err != nil {
		return nil, err
	}
	var arguments callArguments
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	if arguments.Bytes != nil {
		return outcome(found.send(&bare{arguments.Bytes})), nil
	}
	var request pb.StreamSubscribeRequest
	if err := protojson.Unmarshal(arguments.Request, &request); err != nil {
		return nil, err
	}
	return outcome(found.send(&request)), nil
}

func closeSend(_ context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	found, err := p.stream(raw)
	if err != nil {
		return nil, err
	}
	return outcome(found.closeSend()), nil
}

// receiveFromStream waits for the next message, or tells how the stream has ended: "end" for a clean one.
func receiveFromStream(_ context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	from, err := p.stream(raw)
	if err != nil {
		return nil, err
	}
	reply, err := from.receive()
	if err == io.EOF {
		return answer{"end": true, "code": "OK"}, nil
	}
	found := outcome(err)
	if err == nil {
		_, found["received"] = from.codec.last()
		err = tell(found, reply)
		return found, err
	}
	return found, nil
}
