package lib

import (
	"bufio"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"
)

// Conn is a WebSocket client without extensions: whole messages, masked as browsers mask them.
type Conn struct {
	net.Conn
	r   *bufio.Reader
	in  []byte
	mu  sync.Mutex
	out []byte
}

// Dial connects and upgrades, all of it until the deadline, which stays the connection's.
func Dial(addr, path string, deadline time.Time) (*Conn, error) {
	raw, err := net.DialTimeout("tcp", addr, time.Until(deadline))
	if err != nil {
		return nil, err
	}
	raw.SetDeadline(deadline)
	c := &Conn{Conn: raw, r: bufio.NewReaderSize(raw, 4096), in: make([]byte, 512)}
	if err := c.upgrade(addr, path); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) upgrade(addr, path string) error {
	key := make([]byte, 16)
	binary.BigEndian.PutUint64(key, rand.Uint64())
	_, err := fmt.Fprintf(c.Conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", path, addr, base64.StdEncoding.EncodeToString(key))
	if err != nil {
		return err
	}
	status, err := c.r.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.Contains(status, " 101 ") {
		return fmt.Errorf("not upgraded: %s", strings.TrimSpace(status))
	}
	for {
		line, err := c.r.ReadString('\n')
		if err != nil || len(line) <= 2 {
			return err
		}
	}
}

// Send writes one text message.
func (c *Conn) Send(message []byte) error { return c.write(0x81, message) }

func (c *Conn) write(first byte, payload []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := append(c.out[:0], first)
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = append(b, 0x80|126, byte(len(payload)>>8), byte(len(payload)))
	}
	var mask [4]byte
	binary.BigEndian.PutUint32(mask[:], rand.Uint32())
	b = append(b, mask[:]...)
	for i, x := range payload {
		b = append(b, x^mask[i&3])
	}
	c.out = b
	_, err := c.Conn.Write(b)
	return err
}

// Read gives the next message, valid until the next Read, and answers pings on the way.
func (c *Conn) Read() ([]byte, error) {
	for {
		code, payload, err := c.frame()
		if err != nil {
			return nil, err
		}
		switch code {
		case 0x81, 0x82:
			return payload, nil
		case 0x88:
			if len(payload) >= 2 {
				return nil, fmt.Errorf("closed: %d %s", binary.BigEndian.Uint16(payload), payload[2:])
			}
			return nil, fmt.Errorf("closed")
		case 0x89:
			c.write(0x8A, payload)
		case 0x8A:
		default:
			return nil, fmt.Errorf("unexpected frame %#x", code)
		}
	}
}

func (c *Conn) frame() (byte, []byte, error) {
	head, err := c.r.Peek(2)
	if err != nil {
		return 0, nil, err
	}
	code, n := head[0], int(head[1])
	c.r.Discard(2)
	if n >= 126 {
		var length [8]byte
		from := 6
		if n == 127 {
			from = 0
		}
		if _, err := io.ReadFull(c.r, length[from:]); err != nil {
			return 0, nil, err
		}
		n = int(binary.BigEndian.Uint64(length[:]))
	}
	if n > len(c.in) {
		c.in = make([]byte, n)
	}
	_, err = io.ReadFull(c.r, c.in[:n])
	return code, c.in[:n], err
}
