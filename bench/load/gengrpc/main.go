// gRPC unary load generator: N connections, M calls in flight on each, raw byte codec.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	"rtbridge/bench/lib"
	pb "rtbridge/bench/pb"
)

type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (raw) Unmarshal(b []byte, v any) error {
	p := v.(*[]byte)
	*p = append((*p)[:0], b...)
	return nil
}
func (raw) Name() string { return "proto" }

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "")
	conns := flag.Int("conns", 1, "")
	inflight := flag.Int("inflight", 32, "")
	dur := flag.Duration("dur", 4*time.Second, "")
	warm := flag.Duration("warm", 1*time.Second, "")
	pids := flag.String("pids", "", "")
	label := flag.String("label", "", "")
	size := flag.Int("size", 200, "")
	tmo := flag.Duration("timeout", time.Second*5, "per-call deadline (Centrifugo sets one on every proxy call); 0: none")
	flag.Parse()
	req := &pb.RPCRequest{Client: "0bd7a4a5-3b2e-4f2a-9d51-0a4c6a3a2f10", Transport: "websocket", Protocol: "json", Encoding: "json", User: "user42", Method: "echo", Data: lib.Payload(*size)}
	body, _ := proto.Marshal(req)
	method := "/centrifugal.centrifugo.proxy.CentrifugoProxy/RPC"
	var count, errs atomic.Int64
	var measuring atomic.Bool
	stop := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []int32
	for c := 0; c < *conns; c++ {
		cc, err := grpc.NewClient(*addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			panic(err)
		}
		var out []byte
		for k := 0; k < 50; k++ { // wait until it answers
			if err = cc.Invoke(context.Background(), method, body, &out, grpc.ForceCodec(raw{})); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			fmt.Println("ERR", err)
			os.Exit(1)
		}
		if c == 0 {
			var r pb.RPCResponse
			if proto.Unmarshal(out, &r) != nil || len(r.GetResult().GetData()) != *size {
				fmt.Println("ERR bad echo", len(out))
				os.Exit(1)
			}
		}
		for m := 0; m < *inflight; m++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				var out []byte
				lat := make([]int32, 0, 20000)
				for {
					select {
					case <-stop:
						mu.Lock()
						all = append(all, lat...)
						mu.Unlock()
						return
					default:
					}
					t := time.Now()
					ctx, cancel := context.Background(), context.CancelFunc(nil)
					if *tmo > 0 {
						ctx, cancel = context.WithTimeout(ctx, *tmo)
					}
					err := cc.Invoke(ctx, method, body, &out, grpc.ForceCodec(raw{}))
					if cancel != nil {
						cancel()
					}
					if err != nil {
						errs.Add(1)
						continue
					}
					if measuring.Load() {
						count.Add(1)
						lat = append(lat, int32(time.Since(t).Microseconds()))
					}
				}
			}()
		}
	}
	time.Sleep(*warm)
	cpu0, self0 := lib.CPU(*pids), lib.CPU(fmt.Sprint(os.Getpid()))
	t0 := time.Now()
	measuring.Store(true)
	time.Sleep(*dur)
	measuring.Store(false)
	n := count.Load()
	el := time.Since(t0).Seconds()
	cpu1, self1 := lib.CPU(*pids), lib.CPU(fmt.Sprint(os.Getpid()))
	close(stop)
	wg.Wait()
	p50, p99 := lib.Pct(all)
	r := map[string]any{"label": *label, "conns": *conns, "inflight": *inflight, "rps": int(float64(n) / el), "p50_us": p50, "p99_us": p99, "errs": errs.Load(),
		"cpu_ms_per_1k": lib.Per(cpu0, cpu1, n), "gen_cpu": lib.R((self1[0] - self0[0]) / el)}
	b, _ := json.Marshal(r)
	fmt.Println(string(b))
}
