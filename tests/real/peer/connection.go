package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
)

// connection is a client connection and what was counted on it.
type connection struct {
	*grpc.ClientConn
	counters *counters
	frames   *frames
}

type dialArguments struct {
	Connection  string `json:"connection"`
	Target      string `json:"target"`
	Compression bool   `json:"compression"`
	// Frames looks at the HTTP/2 frames that arrive, through a dialer of our own; not under TLS.
	Frames      bool `json:"frames"`
	Credentials *struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	} `json:"credentials"`
	TLS *struct {
		CA   string `json:"ca"`
		Cert string `json:"cert"`
		Key  string `json:"key"`
	} `json:"tls"`
}

// dial makes a connection with the options that Centrifugo's proxies have, and no others.
func dial(_ context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	var arguments dialArguments
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	made := &connection{counters: &counters{}, frames: &frames{}}
	options := []grpc.DialOption{grpc.WithStatsHandler(made.counters)}
	transport, err := transportCredentials(arguments)
	if err != nil {
		return nil, err
	}
	options = append(options, grpc.WithTransportCredentials(transport))
	if arguments.Credentials != nil {
		given := sharedSecret{arguments.Credentials.Key, arguments.Credentials.Value}
		options = append(options, grpc.WithPerRPCCredentials(given))
	}
	if arguments.Compression {
		options = append(options, grpc.WithDefaultCallOptions(grpc.UseCompressor(gzip.Name)))
	}
	if arguments.Frames {
		options = append(options, grpc.WithContextDialer(func(ctx context.Context, address string) (net.Conn, error) {
			plain, err := new(net.Dialer).DialContext(ctx, "tcp", address)
			if err != nil {
				return nil, err
			}
			return made.frames.watch(plain), nil
		}))
	}
	made.ClientConn, err = grpc.NewClient(arguments.Target, options...)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.connections[arguments.Connection] = made
	p.mu.Unlock()
	return nil, nil
}

func transportCredentials(arguments dialArguments) (credentials.TransportCredentials, error) {
	if arguments.TLS == nil {
		return insecure.NewCredentials(), nil
	}
	pem, err := os.ReadFile(arguments.TLS.CA)
	if err != nil {
		return nil, err
	}
	settings := &tls.Config{RootCAs: x509.NewCertPool()}
	if !settings.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", arguments.TLS.CA)
	}
	if arguments.TLS.Cert != "" {
		own, err := tls.LoadX509KeyPair(arguments.TLS.Cert, arguments.TLS.Key)
		if err != nil {
			return nil, err
		}
		settings.Certificates = []tls.Certificate{own}
	}
	return credentials.NewTLS(settings), nil
}

// sharedSecret is sent with every call, over plaintext too, as `grpc.credentials_key` and `_value` are.
type sharedSecret struct{ key, value string }

func (s sharedSecret) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{s.key: s.value}, nil
}

func (sharedSecret) RequireTransportSecurity() bool { return false }

// on finds the connection that a command names.
func (p *peer) on(raw json.RawMessage) (*connection, error) {
	var arguments struct {
		Connection string `json:"connection"`
	}
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	found, known := p.connections[arguments.Connection]
	if !known {
		return nil, fmt.Errorf("no connection %q", arguments.Connection)
	}
	return found, nil
}

func closeConnection(_ context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	return nil, conn.Close()
}

// leaveState waits until the connection is no longer ready and tells the state after it.
func leaveState(ctx context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	conn.WaitForStateChange(ctx, connectivity.Ready)
	return answer{"state": conn.GetState().String()}, nil
}

// traffic tells what was counted on a connection.
func traffic(_ context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	found := conn.counters.told()
	found["goaways"] = conn.frames.goaways()
	return found, nil
}
