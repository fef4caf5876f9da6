package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/status"

	pb "rtbridge/peer/proxypb"
)

// burst makes many RPC calls whose backend answers with the data it was sent, and counts what came back.
//
// It ends after Count calls, or, with Connections, when that many have been opened and Count is only a bound. With
// Largest the data is so many random bytes at most, as often between 1 and 10 as between 10 and 100.
func burst(ctx context.Context, p *peer, _ int, raw json.RawMessage) (answer, error) {
	conn, err := p.on(raw)
	if err != nil {
		return nil, err
	}
	var arguments struct {
		Count       int64 `json:"count"`
		InFlight    int   `json:"in_flight"`
		Connections int64 `json:"connections"`
		Largest     int   `json:"largest"`
		Timeout     int   `json:"timeout"`
	}
	if err := json.Unmarshal(raw, &arguments); err != nil {
		return nil, err
	}
	client := pb.NewCentrifugoProxyClient(conn)
	var next, right, wrong atomic.Int64
	var mu sync.Mutex
	codes := map[string]int{}
	var under sync.WaitGroup
	for range arguments.InFlight {
		under.Go(func() {
			for {
				number := next.Add(1)
				enough := arguments.Connections > 0 && conn.counters.opened.Load() >= arguments.Connections
				if number > arguments.Count || enough || ctx.Err() != nil {
					return
				}
				data := fmt.Appendf(nil, `{"number":%d,"text":"%064x"}`, number, number*number)
				if arguments.Largest > 0 {
					data = noise(number, arguments.Largest)
				}
				deadline, cancel := context.WithTimeout(ctx, time.Duration(arguments.Timeout)*time.Millisecond)
				reply, err := client.RPC(deadline, &pb.RPCRequest{Method: "echo", User: fmt.Sprint(number), Data: data})
				cancel()
				switch {
				case err != nil:
					mu.Lock()
					codes[status.Code(err).String()+": "+status.Convert(err).Message()]++
					mu.Unlock()
				case bytes.Equal(reply.GetResult().GetData(), data):
					right.Add(1)
				default:
					wrong.Add(1)
				}
			}
		})
	}
	under.Wait()
	found := conn.counters.told()
	found["right"], found["wrong"], found["failed"] = right.Load(), wrong.Load(), codes
	return found, nil
}

// noise is the data of one call: other bytes, and another length, for each number, and the same in every run.
func noise(number int64, largest int) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], uint64(number))
	source := rand.NewChaCha8(seed)
	exponent := rand.New(source).Float64()
	data := make([]byte, int(math.Pow(float64(largest), exponent)))
	_, _ = source.Read(data) // it never fails
	return data
}
