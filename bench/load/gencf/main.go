// Centrifugo client load: C WebSocket clients (JSON protocol), M RPC in flight on each; or -mode connect: connect storm.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"rtbridge/bench/lib"
)

func main() {
	url := flag.String("url", "ws://127.0.0.1:8100/connection/websocket", "")
	clients := flag.Int("clients", 50, "")
	inflight := flag.Int("inflight", 2, "")
	dur := flag.Duration("dur", 3*time.Second, "")
	warm := flag.Duration("warm", 1*time.Second, "")
	pids := flag.String("pids", "", "backend,centrifugo")
	label := flag.String("label", "", "")
	mode := flag.String("mode", "rpc", "rpc|connect")
	size := flag.Int("size", 200, "")
	flag.Parse()
	data := lib.Payload(*size)
	var count, errs atomic.Int64
	var measuring, stop atomic.Bool
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []int32
	dial := func() (*websocket.Conn, error) {
		c, _, err := websocket.DefaultDialer.Dial(*url, nil)
		if err != nil {
			return nil, err
		}
		c.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"connect":{}}`))
		_, m, err := c.ReadMessage()
		if err == nil && !bytes.Contains(m, []byte(`"connect":{"client"`)) {
			err = fmt.Errorf("connect: %s", m)
		}
		return c, err
	}
	for i := 0; i < *clients; i++ {
		wg.Add(1)
		if *mode == "connect" {
			go func() {
				defer wg.Done()
				var lat []int32
				for !stop.Load() {
					t := time.Now()
					c, err := dial()
					if err != nil {
						errs.Add(1)
						if c != nil {
							c.Close()
						}
						continue
					}
					if measuring.Load() {
						count.Add(1)
						lat = append(lat, int32(time.Since(t).Microseconds()))
					}
					c.Close()
				}
				mu.Lock()
				all = append(all, lat...)
				mu.Unlock()
			}()
			continue
		}
		c, err := dial()
		if err != nil {
			fmt.Println("ERR", err)
			os.Exit(1)
		}
		go func() {
			defer wg.Done()
			var lat []int32
			start := map[int]time.Time{}
			id := 2
			send := func() {
				b := make([]byte, 0, 300)
				b = append(b, `{"id":`...)
				b = strconv.AppendInt(b, int64(id), 10)
				b = append(b, `,"rpc":{"method":"echo","data":`...)
				b = append(b, data...)
				b = append(b, "}}"...)
				start[id] = time.Now()
				id++
				c.WriteMessage(websocket.TextMessage, b)
			}
			for k := 0; k < *inflight; k++ {
				send()
			}
			for !stop.Load() {
				_, m, err := c.ReadMessage()
				if err != nil {
					errs.Add(1)
					return
				}
				for _, ln := range bytes.Split(m, []byte("\n")) {
					if len(ln) < 3 { // ping
						if string(ln) == "{}" {
							c.WriteMessage(websocket.TextMessage, []byte("{}"))
						}
						continue
					}
					if !bytes.HasPrefix(ln, []byte(`{"id":`)) {
						continue
					}
					e := bytes.IndexByte(ln, ',')
					n, _ := strconv.Atoi(string(ln[6:e]))
					if len(ln) < *size {
						errs.Add(1)
					}
					if measuring.Load() {
						count.Add(1)
						lat = append(lat, int32(time.Since(start[n]).Microseconds()))
					}
					delete(start, n)
					send()
				}
			}
			mu.Lock()
			all = append(all, lat...)
			mu.Unlock()
			c.Close()
		}()
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
	stop.Store(true)
	wg.Wait()
	p50, p99 := lib.Pct(all)
	r := map[string]any{"label": *label, "clients": *clients, "inflight": *inflight, "rps": int(float64(n) / el), "p50_us": p50, "p99_us": p99, "errs": errs.Load(),
		"cpu_ms_per_1k": lib.Per(cpu0, cpu1, n), "gen_cpu": lib.R((self1[0] - self0[0]) / el)}
	b, _ := json.Marshal(r)
	fmt.Println(string(b))
}
