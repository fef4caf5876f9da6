// HTTP/1.1 keep-alive load generator (raw sockets, one request in flight per connection).
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"rtbridge/bench/lib"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "")
	conns := flag.Int("conns", 32, "")
	dur := flag.Duration("dur", 4*time.Second, "")
	warm := flag.Duration("warm", 1*time.Second, "")
	pids := flag.String("pids", "", "")
	label := flag.String("label", "", "")
	size := flag.Int("size", 200, "")
	get := flag.String("get", "", "")
	flag.Parse()
	req := []byte("GET " + *get + " HTTP/1.1\r\nHost: " + *addr + "\r\n\r\n")
	if *get == "" {
		// the body Centrifugo's HTTP RPC proxy sends: JSON with data embedded
		body := `{"client":"0bd7a4a5-3b2e-4f2a-9d51-0a4c6a3a2f10","transport":"websocket","protocol":"json","encoding":"json","user":"user42","method":"echo","data":` + string(lib.Payload(*size)) + `}`
		req = []byte("POST /rpc HTTP/1.1\r\nHost: " + *addr + "\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n\r\n" + body)
	}
	var count, errs atomic.Int64
	var measuring, stop atomic.Bool
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []int32
	for c := 0; c < *conns; c++ {
		var cn net.Conn
		var err error
		for k := 0; k < 50; k++ {
			if cn, err = net.Dial("tcp", *addr); err == nil {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if err != nil {
			fmt.Println("ERR", err)
			os.Exit(1)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			rd := bufio.NewReaderSize(cn, 8192)
			buf := make([]byte, 8192)
			lat := make([]int32, 0, 20000)
			for !stop.Load() {
				t := time.Now()
				cn.Write(req)
				cl := 0
				for first := true; ; first = false {
					ln, err := rd.ReadSlice('\n')
					if err != nil {
						errs.Add(1)
						return
					}
					s := string(ln)
					if first && !strings.Contains(s, " 200") {
						errs.Add(1)
					}
					if len(s) > 15 && strings.EqualFold(s[:15], "content-length:") {
						cl, _ = strconv.Atoi(strings.TrimSpace(s[15:]))
					}
					if len(s) <= 2 {
						break
					}
				}
				if _, err := io.ReadFull(rd, buf[:cl]); err != nil || cl < *size {
					errs.Add(1)
					return
				}
				if measuring.Load() {
					count.Add(1)
					lat = append(lat, int32(time.Since(t).Microseconds()))
				}
			}
			mu.Lock()
			all = append(all, lat...)
			mu.Unlock()
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
	r := map[string]any{"label": *label, "conns": *conns, "rps": int(float64(n) / el), "p50_us": p50, "p99_us": p99, "errs": errs.Load(),
		"cpu_ms_per_1k": lib.Per(cpu0, cpu1, n), "gen_cpu": lib.R((self1[0] - self0[0]) / el)}
	b, _ := json.Marshal(r)
	fmt.Println(string(b))
}
