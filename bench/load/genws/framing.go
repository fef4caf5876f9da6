package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"rtbridge/bench/lib"
)

// A framing is how a client says the same things to different servers. Packets are what a message holds, one a line.
type framing struct {
	path      string
	ping      string // packet that asks for a sign of life
	pong      string
	pushed    string // what a packet with a publication begins with
	connect   func(*lib.Conn) error
	subscribe func(id int, channel string) []byte
	publish   func(id int, channel string, payload []byte) []byte
	call      func(id int, payload []byte) []byte
	// answer is the id that a packet answers, 0 where it answers none, and whether it is a success.
	answer func(packet []byte) (int, bool)
}

var framings = map[string]*framing{"centrifuge": centrifuge, "socketio": socketio}

// centrifuge is Centrifugo's client protocol in JSON.
var centrifuge = &framing{
	path:   "/connection/websocket",
	ping:   "{}",
	pong:   "{}",
	pushed: `{"push"`,
	connect: func(c *lib.Conn) error {
		c.Send([]byte(`{"id":1,"connect":{}}`))
		return expect(c, `{"id":1,"connect":{`)
	},
	subscribe: func(id int, channel string) []byte {
		return fmt.Appendf(nil, `{"id":%d,"subscribe":{"channel":%q}}`, id, channel)
	},
	publish: func(id int, channel string, payload []byte) []byte {
		return fmt.Appendf(nil, `{"id":%d,"publish":{"channel":%q,"data":%s}}`, id, channel, payload)
	},
	call: func(id int, payload []byte) []byte {
		return fmt.Appendf(nil, `{"id":%d,"rpc":{"method":"echo","data":%s}}`, id, payload)
	},
	answer: func(packet []byte) (int, bool) {
		rest, found := bytes.CutPrefix(packet, []byte(`{"id":`))
		if !found {
			return 0, false
		}
		id, rest := number(rest)
		return id, !bytes.HasPrefix(rest, []byte(`,"error"`))
	},
}

// socketio is Engine.IO 4 over WebSocket with Socket.IO's default namespace in it.
var socketio = &framing{
	path:   "/socket.io/?EIO=4&transport=websocket",
	ping:   "2",
	pong:   "3",
	pushed: "42[",
	connect: func(c *lib.Conn) error {
		if err := expect(c, "0{"); err != nil {
			return err
		}
		c.Send([]byte("40"))
		return expect(c, "40{")
	},
	subscribe: func(id int, channel string) []byte {
		return fmt.Appendf(nil, `42%d["subscribe",%q]`, id, channel)
	},
	publish: func(id int, channel string, payload []byte) []byte {
		return fmt.Appendf(nil, `42%d["publish",%q,%s]`, id, channel, payload)
	},
	call: func(id int, payload []byte) []byte {
		return fmt.Appendf(nil, `42%d["echo",%s]`, id, payload)
	},
	answer: func(packet []byte) (int, bool) {
		rest, found := bytes.CutPrefix(packet, []byte("43"))
		if !found {
			return 0, false
		}
		id, _ := number(rest)
		return id, true
	},
}

func number(b []byte) (int, []byte) {
	end := 0
	for end < len(b) && b[end] >= '0' && b[end] <= '9' {
		end++
	}
	n, _ := strconv.Atoi(string(b[:end]))
	return n, b[end:]
}

// expect reads the next message, which has to begin like this.
func expect(c *lib.Conn, head string) error {
	message, err := c.Read()
	if err == nil && !bytes.HasPrefix(message, []byte(head)) {
		err = fmt.Errorf("expected %s, got %.200s", head, message)
	}
	return err
}

// listen gives every packet to take, answering pings, until the connection ends.
func (f *framing) listen(c *lib.Conn, take func(packet []byte)) error {
	for {
		message, err := c.Read()
		if err != nil {
			return err
		}
		for packet := range bytes.SplitSeq(message, []byte("\n")) {
			if string(packet) == f.ping {
				c.Send([]byte(f.pong))
			} else if len(packet) > 0 {
				take(packet)
			}
		}
	}
}

const subscribing = 2

// enter is a client as it comes: dialled, connected, and subscribed where there is a channel. The deadline stays.
func (f *framing) enter(channel string, until time.Time) (*lib.Conn, error) {
	c, err := lib.Dial(*addr, f.path, until)
	if err != nil {
		return nil, err
	}
	if err = f.connect(c); err == nil && channel != "" {
		c.Send(f.subscribe(subscribing, channel))
		var message []byte
		if message, err = c.Read(); err == nil {
			if id, ok := f.answer(message); id != subscribing || !ok {
				err = fmt.Errorf("not subscribed: %.200s", message)
			}
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
