package main

import (
	"fmt"
	"sync"

	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that is wrapped here
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// bare is a message whose bytes nobody looks at.
type bare struct{ bytes []byte }

// recorder is grpc-go's protobuf codec, which also keeps the bytes of each message.
type recorder struct {
	inner encoding.CodecV2

	mu             sync.Mutex
	sent, received [][]byte
}

func newRecorder() *recorder { return &recorder{inner: encoding.GetCodecV2("proto")} }

// Name leaves the content type as it is without a codec of one's own.
func (r *recorder) Name() string { return "proto" }

func (r *recorder) Marshal(message any) (mem.BufferSlice, error) {
	var written mem.BufferSlice
	if raw, is := message.(*bare); is {
		written = mem.BufferSlice{mem.SliceBuffer(raw.bytes)}
	} else {
		var err error
		if written, err = r.inner.Marshal(message); err != nil {
			return nil, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = append(r.sent, written.Materialize())
	return written, nil
}

func (r *recorder) Unmarshal(data mem.BufferSlice, into any) error {
	r.mu.Lock()
	r.received = append(r.received, data.Materialize())
	r.mu.Unlock()
	if raw, is := into.(*bare); is {
		raw.bytes = data.Materialize()
		return nil
	}
	return r.inner.Unmarshal(data, into)
}

// last gives the newest bytes of each direction.
func (r *recorder) last() (sent, received []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.sent); n > 0 {
		sent = r.sent[n-1]
	}
	if n := len(r.received); n > 0 {
		received = r.received[n-1]
	}
	return sent, received
}

// unread lists the messages in which bytes are left that no field of the generated code took.
func unread(message proto.Message) []string {
	found := []string{}
	var visit func(path string, in protoreflect.Message)
	visit = func(path string, in protoreflect.Message) {
		if len(in.GetUnknown()) > 0 {
			found = append(found, path)
		}
		in.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			here := fmt.Sprintf("%s.%s", path, field.Name())
			switch {
			case field.IsMap():
				if field.MapValue().Message() != nil {
					value.Map().Range(func(_ protoreflect.MapKey, each protoreflect.Value) bool {
						visit(here, each.Message())
						return true
					})
				}
			case field.Message() == nil:
			case field.IsList():
				for i := range value.List().Len() {
					visit(here, value.List().Get(i).Message())
				}
			default:
				visit(here, value.Message())
			}
			return true
		})
	}
	visit(string(message.ProtoReflect().Descriptor().Name()), message.ProtoReflect())
	return found
}
