package main

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"rtbridge/bench/lib"
)

// Publications are numbered with six digits, so that each payload is as long as the others.
const first = 100_000

var marked = []byte(`"seq":`)

// audience is the subscribers, and who publishes to them.
type audience struct {
	speak     *framing
	publisher *lib.Conn
	size      int
	delivered atomic.Int64
	published int64
	// took gives the number of a publication and who got it, for every delivery.
	took func(subscriber, number int)
	lost chan error
}

func gather(speak *framing) (*audience, error) {
	in, _, failure := crowd(speak, *conns, *parallel, *channel)
	if failure != nil {
		return nil, failure
	}
	publisher, err := speak.enter("", time.Now().Add(*limit))
	if err != nil {
		return nil, err
	}
	publisher.SetDeadline(time.Time{})
	a := &audience{speak: speak, publisher: publisher, size: len(in), lost: make(chan error, len(in)+1)}
	for i, c := range in {
		go func() {
			a.lost <- speak.listen(c, func(packet []byte) {
				if !bytes.HasPrefix(packet, []byte(speak.pushed)) {
					return
				}
				at := bytes.Index(packet, marked) + len(marked)
				n, _ := number(packet[at:])
				a.took(i, n-first)
			})
		}()
	}
	go func() { a.lost <- speak.listen(publisher, func([]byte) {}) }()
	return a, nil
}

func (a *audience) publish() error {
	payload := lib.Payload(*size)
	at := bytes.Index(payload, marked) + len(marked)
	n := first + int(a.published%(10*first-first))
	for digit := 5; digit >= 0; digit-- {
		payload[at+digit] = byte('0' + n%10)
		n /= 10
	}
	a.published++
	return a.publisher.Send(a.speak.publish(int(a.published)+subscribing, *channel, payload))
}

// missing waits for what is on the way and returns how many deliveries did not come.
func (a *audience) missing() int64 {
	until := time.Now().Add(*limit)
	for time.Now().Before(until) && a.delivered.Load() < a.published*int64(a.size) {
		time.Sleep(time.Millisecond)
	}
	return a.published*int64(a.size) - a.delivered.Load()
}

// gone returns why the first of the clients that are no longer there went.
func (a *audience) gone() error {
	select {
	case err := <-a.lost:
		if err == nil {
			err = io.EOF
		}
		return err
	default:
		return nil
	}
}

// fan measures a delivery when the server has nothing else to do and always the next publication before it.
func fan(speak *framing) (figures, error) {
	a, err := gather(speak)
	if err != nil {
		return nil, err
	}
	tokens := make(chan struct{}, *window)
	a.took = func(int, int) {
		if a.delivered.Add(1)%int64(a.size) == 0 {
			<-tokens
		}
	}
	var stop atomic.Bool
	done := make(chan error)
	go func() {
		for !stop.Load() {
			tokens <- struct{}{}
			if err := a.publish(); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	time.Sleep(*warm)
	n0, before := a.delivered.Load(), read()
	time.Sleep(*dur)
	n, after := a.delivered.Load()-n0, read()
	stop.Store(true)
	select {
	case err = <-done:
	case <-time.After(*limit):
	}
	if err == nil {
		err = a.gone()
	}
	return after.since(before, n, figures{"errs": a.missing()}), err
}

// paced measures from sending a publication to each subscriber's having it.
func paced(speak *framing) (figures, error) {
	a, err := gather(speak)
	if err != nil {
		return nil, err
	}
	warming, total := int(warm.Seconds()*float64(*rate)), int((*warm+*dur).Seconds()*float64(*rate))
	sent, got := make([]time.Time, total), make([]atomic.Int64, total)
	var mu sync.Mutex
	all := make([]int32, 0, total*a.size)
	a.took = func(_, n int) {
		took := int32(time.Since(sent[n]).Microseconds())
		a.delivered.Add(1)
		got[n].Add(1)
		if n >= warming {
			mu.Lock()
			all = append(all, took)
			mu.Unlock()
		}
	}
	var before meter
	tick := time.NewTicker(time.Second / time.Duration(*rate))
	for n := range total {
		<-tick.C
		if n == warming {
			before = read()
		}
		sent[n] = time.Now()
		if err := a.publish(); err != nil {
			return nil, err
		}
	}
	missing := a.missing()
	after := read()
	if err := a.gone(); err != nil {
		return nil, err
	}
	found := after.since(before, int64(len(all)), figures{"rate": *rate, "errs": missing})
	found["p50_us"], found["p99_us"] = lib.Pct(all)
	return found, nil
}
