// Command peer is a gRPC client of rtbridge on grpc-go, the library that Centrifugo dials with.
//
// It reads one JSON command per line from standard input, runs each on a goroutine of its own, and answers each with one
// line of JSON on standard output under the same id. What it says about a reply is what grpc-go and the code generated
// from proto/centrifugo/proxy.proto have read. The end of the input cancels what is under way and ends the program.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
)

// answer is one line of output; the id of its command is added to it.
type answer map[string]any

// command runs with the raw arguments of its line. Its context ends with the program or with a cancel command.
type command func(ctx context.Context, p *peer, id int, arguments json.RawMessage) (answer, error)

var commands = map[string]command{
	"dial":       dial,
	"close":      closeConnection,
	"state":      leaveState,
	"traffic":    traffic,
	"call":       unaryCall,
	"raw":        rawCall,
	"cancel":     cancelCommand,
	"open":       openStream,
	"send":       sendOnStream,
	"close_send": closeSend,
	"receive":    receiveFromStream,
	"burst":      burst,
	"health":     checkHealth,
	"watch":      watchHealth,
}

type peer struct {
	mu          sync.Mutex
	output      *json.Encoder
	connections map[string]*connection
	streams     map[int]*stream
	cancels     map[int]context.CancelFunc
}

func main() {
	p := &peer{
		output:      json.NewEncoder(os.Stdout),
		connections: map[string]*connection{},
		streams:     map[int]*stream{},
		cancels:     map[int]context.CancelFunc{},
	}
	if err := p.run(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
		os.Exit(1)
	}
}

func (p *peer) run(input io.Reader) error {
	everything, stop := context.WithCancel(context.Background())
	var under sync.WaitGroup
	defer under.Wait()
	defer stop()
	lines := bufio.NewReaderSize(input, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		var head struct {
			ID int    `json:"id"`
			Do string `json:"do"`
		}
		if err := json.Unmarshal(line, &head); err != nil {
			return fmt.Errorf("a command that is no JSON: %w", err)
		}
		run, known := commands[head.Do]
		if !known {
			return fmt.Errorf("unknown command %q", head.Do)
		}
		ctx, cancel := context.WithCancel(everything)
		p.mu.Lock()
		p.cancels[head.ID] = cancel
		p.mu.Unlock()
		under.Go(func() {
			found, err := run(ctx, p, head.ID, line)
			if found == nil {
				found = answer{}
			}
			if err != nil {
				found["fault"] = err.Error()
			}
			p.say(head.ID, found)
		})
	}
}

func (p *peer) say(id int, found answer) {
	found["id"] = id
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.output.Encode(found); err != nil {
		fmt.Fprintln(os.Stderr, "peer:", err)
	}
}

// cancelCommand cancels the context of a call, or of a stream, by the id of the command that began it.
func cancelCommand(_ context.Context, p *peer, _ int, arguments json.RawMessage) (answer, error) {
	var wanted struct {
		Command int `json:"command"`
	}
	if err := json.Unmarshal(arguments, &wanted); err != nil {
		return nil, err
	}
	p.mu.Lock()
	cancel, known := p.cancels[wanted.Command]
	p.mu.Unlock()
	if !known {
		return nil, fmt.Errorf("no command %d", wanted.Command)
	}
	cancel()
	return nil, nil
}
