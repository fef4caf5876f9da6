package main

import (
	"context"
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// counters adds up what grpc-go reports of a connection.
type counters struct {
	opened, sent, sentCompressed, received, receivedCompressed atomic.Int64
}

func (c *counters) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

func (c *counters) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

func (c *counters) HandleConn(_ context.Context, event stats.ConnStats) {
	if _, begins := event.(*stats.ConnBegin); begins {
		c.opened.Add(1)
	}
}

func (c *counters) HandleRPC(_ context.Context, event stats.RPCStats) {
	switch payload := event.(type) {
	case *stats.OutPayload:
		c.sent.Add(int64(payload.Length))
		c.sentCompressed.Add(int64(payload.CompressedLength))
	case *stats.InPayload:
		c.received.Add(int64(payload.Length))
		c.receivedCompressed.Add(int64(payload.CompressedLength))
	}
}

func (c *counters) told() answer {
	return answer{
		"connections":         c.opened.Load(),
		"sent":                c.sent.Load(),
		"sent_compressed":     c.sentCompressed.Load(),
		"received":            c.received.Load(),
		"received_compressed": c.receivedCompressed.Load(),
	}
}

// goaway is one such frame (RFC 9113, section 6.8).
type goaway struct {
	LastStream uint32 `json:"last_stream"`
	Code       uint32 `json:"code"`
	Debug      string `json:"debug"`
}

// frames remembers the GOAWAY frames that arrived.
type frames struct {
	mu   sync.Mutex
	seen []goaway
}

func (f *frames) watch(plain net.Conn) net.Conn { return &watched{Conn: plain, frames: f} }

func (f *frames) goaways() []goaway {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]goaway{}, f.seen...)
}

// watched reads along with grpc-go: a frame is 9 bytes of header, of which three are the length of what follows and one
// the type (RFC 9113, section 4.1).
type watched struct {
	net.Conn
	frames *frames
	held   []byte
}

const (
	headerSize = 9
	typeGoaway = 7
	streamMask = 1<<31 - 1
)

func (w *watched) Read(into []byte) (int, error) {
	n, err := w.Conn.Read(into)
	w.held = append(w.held, into[:n]...)
	for len(w.held) >= headerSize {
		length := int(w.held[0])<<16 | int(w.held[1])<<8 | int(w.held[2])
		if len(w.held) < headerSize+length {
			break
		}
		if payload := w.held[headerSize : headerSize+length]; w.held[3] == typeGoaway {
			w.frames.mu.Lock()
			w.frames.seen = append(w.frames.seen, goaway{
				LastStream: binary.BigEndian.Uint32(payload) & streamMask,
				Code:       binary.BigEndian.Uint32(payload[4:]),
				Debug:      string(payload[8:]),
			})
			w.frames.mu.Unlock()
		}
		w.held = w.held[headerSize+length:]
	}
	return n, err
}
