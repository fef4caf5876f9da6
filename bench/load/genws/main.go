// Clients of a WebSocket server, in Centrifugo's client protocol or Socket.IO's.
//
//	-mode fan    one client publishes as fast as -conns subscribers get it, -window publications ahead
//	-mode paced  the same at -rate publications a second, with latencies
//	-mode storm  -conns clients connect and subscribe at once
//	-mode idle   memory of -conns subscribed clients that do nothing
//	-mode rpc    -inflight calls on each of -conns connections
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"rtbridge/bench/lib"
)

var (
	addr     = flag.String("addr", "127.0.0.1:8000", "")
	framed   = flag.String("framing", "centrifuge", "centrifuge|socketio")
	mode     = flag.String("mode", "fan", "fan|paced|storm|idle|rpc")
	conns    = flag.Int("conns", 1000, "")
	channel  = flag.String("channel", "news", "")
	size     = flag.Int("size", 200, "bytes of a payload")
	window   = flag.Int("window", 4, "fan: publications on the way")
	rate     = flag.Int("rate", 20, "paced: publications a second")
	inflight = flag.Int("inflight", 1, "rpc: calls on the way on each connection")
	dur      = flag.Duration("dur", 3*time.Second, "")
	warm     = flag.Duration("warm", time.Second, "")
	limit    = flag.Duration("limit", 20*time.Second, "for everybody to be in, and for what is under way at the end")
	parallel = flag.Int("parallel", 64, "clients that come at once; everybody in a storm")
	settle   = flag.Duration("settle", 2*time.Second, "idle: rest before memory is read")
	pids     = flag.String("pids", "", "the server's processes: a,b+c")
	label    = flag.String("label", "", "")
)

type figures map[string]any

func main() {
	flag.Parse()
	speak := framings[*framed]
	modes := map[string]func(*framing) (figures, error){
		"fan": fan, "paced": paced, "storm": storm, "idle": idle, "rpc": rpc,
	}
	if speak == nil || modes[*mode] == nil {
		flag.Usage()
		os.Exit(2)
	}
	found, err := modes[*mode](speak)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	found["label"], found["mode"], found["conns"] = *label, *mode, *conns
	line, _ := json.Marshal(found)
	fmt.Println(string(line))
}

// crowd lets n clients come and returns those who got in, with what the first of the others met and how long each took.
func crowd(speak *framing, n, together int, channel string) ([]*lib.Conn, []int32, error) {
	until := time.Now().Add(*limit)
	in := make([]*lib.Conn, 0, n)
	var took []int32
	var failure error
	var mu sync.Mutex
	var wg sync.WaitGroup
	turn := make(chan struct{}, together)
	start := make(chan struct{})
	var t0 time.Time
	for range n {
		wg.Go(func() {
			<-start
			turn <- struct{}{}
			c, err := speak.enter(channel, until)
			<-turn
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				if failure == nil {
					failure = err
				}
				return
			}
			c.SetDeadline(time.Time{})
			in = append(in, c)
			took = append(took, int32(time.Since(t0).Microseconds()))
		})
	}
	t0 = time.Now()
	close(start)
	wg.Wait()
	return in, took, failure
}

// meter reads the CPU time of server and generator.
type meter struct {
	at           time.Time
	server, self []float64
}

func read() meter { return meter{time.Now(), lib.CPU(*pids), lib.CPU(fmt.Sprint(os.Getpid()))} }

// since puts what n operations cost between two readings into the figures.
func (m meter) since(before meter, n int64, found figures) figures {
	el := m.at.Sub(before.at).Seconds()
	found["rps"] = int(float64(n) / el)
	found["cpu_ms_per_1k"] = lib.Per(before.server, m.server, n)
	found["gen_cpu"] = lib.R((m.self[0] - before.self[0]) / el)
	var busy float64
	for i := range m.server {
		busy += m.server[i] - before.server[i]
	}
	found["server_cpu"] = lib.R(busy / el)
	return found
}

// storm measures how long it takes until everybody is in.
func storm(speak *framing) (figures, error) {
	before := read()
	in, took, failure := crowd(speak, *conns, *conns, *channel)
	found := read().since(before, int64(len(in)), figures{})
	p50, p99 := lib.Pct(took)
	last := int32(0)
	if len(took) > 0 {
		last = took[len(took)-1]
	}
	found["seconds"], found["p50_us"], found["p99_us"], found["errs"] = lib.R(float64(last)/1e6), p50, p99, *conns-len(in)
	if failure != nil {
		found["failure"] = failure.Error()
	}
	for _, c := range in {
		c.Close()
	}
	return found, nil
}

// idle measures what one more client costs beside 200.
func idle(speak *framing) (figures, error) {
	var memory [2][]int
	for i, n := range []int{200, *conns} {
		in, _, failure := crowd(speak, n, *parallel, *channel)
		if failure != nil {
			return nil, failure
		}
		for _, c := range in {
			go speak.listen(c, func([]byte) {})
		}
		time.Sleep(*settle)
		memory[i] = lib.Memory(*pids)
	}
	per, total := []float64{}, []int{}
	for i := range memory[0] {
		per = append(per, lib.R(float64(memory[1][i]-memory[0][i])/float64(*conns)))
		total = append(total, memory[1][i])
	}
	return figures{"kb_per_conn": per, "kb": total, "errs": 0}, nil
}

// rpc measures calls; each answer is followed by the next call.
func rpc(speak *framing) (figures, error) {
	in, _, failure := crowd(speak, *conns, *parallel, "")
	if failure != nil {
		return nil, failure
	}
	payload := lib.Payload(*size)
	var measuring, stop atomic.Bool
	var count, errs atomic.Int64
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all []int32
	for _, c := range in {
		wg.Go(func() {
			var took []int32
			sent, id := map[int]time.Time{}, subscribing
			send := func() {
				id++
				sent[id] = time.Now()
				c.Send(speak.call(id, payload))
			}
			for range *inflight {
				send()
			}
			err := speak.listen(c, func(packet []byte) {
				n, ok := speak.answer(packet)
				at, mine := sent[n]
				if !mine {
					return
				}
				delete(sent, n)
				if !ok || len(packet) < *size {
					errs.Add(1)
				} else if measuring.Load() {
					count.Add(1)
					took = append(took, int32(time.Since(at).Microseconds()))
				}
				if !stop.Load() {
					send()
				} else if len(sent) == 0 {
					c.Close()
				}
			})
			if !stop.Load() && err != nil {
				errs.Add(1)
			}
			errs.Add(int64(len(sent)))
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	time.Sleep(*warm)
	before := read()
	measuring.Store(true)
	time.Sleep(*dur)
	measuring.Store(false)
	n, after := count.Load(), read()
	stop.Store(true)
	for _, c := range in {
		c.SetReadDeadline(time.Now().Add(*limit))
	}
	wg.Wait()
	found := after.since(before, n, figures{"inflight": *inflight, "errs": errs.Load()})
	found["p50_us"], found["p99_us"] = lib.Pct(all)
	return found, nil
}
