// Calls of a gRPC server that never repeat themselves: each has a user, a payload and a header of its own, and some are
// given up, refused, of a method that nobody serves, or on a connection that is closed after them.
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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "rtbridge/bench/pb"
)

const (
	service = "/centrifugal.centrifugo.proxy.CentrifugoProxy/"

	// One call in so many is that.
	unknown   = 50
	abandoned = 100
	alone     = 5000
)

func dial(addr string) *grpc.ClientConn {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		fmt.Println("ERR", err)
		os.Exit(1)
	}
	return conn
}

func main() {
	addr := flag.String("addr", "127.0.0.1:9000", "")
	conns := flag.Int("conns", 4, "")
	inflight := flag.Int("inflight", 32, "on each connection")
	calls := flag.Int64("calls", 100_000, "")
	first := flag.Int64("first", 0, "number of the first call; numbers must not come again")
	timeout := flag.Duration("timeout", 5*time.Second, "deadline of each call")
	flag.Parse()
	var next, answered, refused, givenUp, failed atomic.Int64
	var complaint atomic.Value
	var under sync.WaitGroup
	for range *conns {
		shared := dial(*addr)
		for range *inflight {
			under.Go(func() {
				for {
					index := next.Add(1) - 1
					if index >= *calls {
						return
					}
					number := index + *first
					conn := shared
					if number%alone == 0 {
						conn = dial(*addr)
					}
					switch err := call(conn, number, *timeout); status.Code(err) {
					case codes.OK:
						answered.Add(1)
					case codes.Unimplemented:
						refused.Add(1)
					case codes.Canceled:
						givenUp.Add(1)
					default:
						failed.Add(1)
						complaint.Store(err.Error())
					}
					if conn != shared {
						conn.Close()
					}
				}
			})
		}
	}
	under.Wait()
	found, _ := json.Marshal(map[string]any{
		"answered": answered.Load(), "refused": refused.Load(), "given_up": givenUp.Load(),
		"failed": failed.Load(), "complaint": complaint.Load(),
	})
	fmt.Println(string(found))
}

// call makes one; a wrong answer is an error.
func call(conn *grpc.ClientConn, number int64, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-request", fmt.Sprint(number))
	data := fmt.Appendf(nil, `{"number":%d,"text":"%0*d"}`, number, number%500, number)
	request := &pb.RPCRequest{Client: fmt.Sprint(number), User: fmt.Sprint("user", number), Method: "echo", Data: data}
	if number%unknown == 1 {
		return conn.Invoke(ctx, service+fmt.Sprint("Unknown", number), request, &pb.RPCResponse{})
	}
	if number%abandoned == 2 {
		time.AfterFunc(time.Duration(number%7)*100*time.Microsecond, cancel)
	}
	reply, err := pb.NewCentrifugoProxyClient(conn).RPC(ctx, request)
	if err == nil && string(reply.GetResult().GetData()) != string(data) {
		return fmt.Errorf("call %d was answered with %q", number, reply)
	}
	return err
}
