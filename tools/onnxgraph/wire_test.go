package onnxgraph

import "google.golang.org/protobuf/encoding/protowire"

// part gives the bytes of a field of a message.
func part(message []byte, field protowire.Number) ([]byte, bool) {
	for len(message) > 0 {
		num, kind, n := protowire.ConsumeField(message)
		if n < 0 {
			return nil, false
		}
		if num == field && kind == protowire.BytesType {
			_, _, tag := protowire.ConsumeTag(message)
			value, _ := protowire.ConsumeBytes(message[tag:])
			return value, true
		}
		message = message[n:]
	}
	return nil, false
}

// without leaves a field out of a message.
func without(message []byte, field protowire.Number) (kept []byte) {
	for len(message) > 0 {
		num, _, n := protowire.ConsumeField(message)
		if n < 0 {
			return nil
		}
		if num != field {
			kept = append(kept, message[:n]...)
		}
		message = message[n:]
	}
	return kept
}
