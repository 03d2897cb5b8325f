package decode_test

import (
	"testing"
	"unsafe"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/ingest/decode/testclip"
)

// aligned returns n bytes that begin at a multiple of 64.
func aligned(n int) []byte {
	b := make([]byte, n+64)
	skip := -uintptr(unsafe.Pointer(&b[0])) & 63
	return b[skip : skip+uintptr(n)]
}

// BenchmarkDecode reads, decodes and copies one frame an iteration.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"mosaic-4k.mp4", "car-detection.mp4"} {
		b.Run(name, func(b *testing.B) {
			d, decoder := openClip(b, testclip.Shared(b, name), 1)
			defer d.Close()
			defer decoder.Close()
			target := alignedPlanes(d.Parameters().Width, d.Parameters().Height)
			b.ReportAllocs()
			var packet decode.Packet
			tickets := int64(0)
			for b.Loop() {
				for decoded := false; !decoded; tickets++ {
					ok, err := d.Read(b.Context(), &packet)
					if err != nil {
						b.Fatal(err)
					}
					if !ok {
						b.StopTimer()
						if err := d.Rewind(b.Context()); err != nil {
							b.Fatal(err)
						}
						decoder.Restart()
						b.StartTimer()
						continue
					}
					if err := decoder.Send(packet.Data, tickets); err != nil {
						b.Fatal(err)
					}
					for {
						_, ok, err := decoder.Receive()
						if err != nil {
							b.Fatal(err)
						}
						if !ok {
							break
						}
						if err := decoder.CopyTo(target); err != nil {
							b.Fatal(err)
						}
						decoded = true
					}
				}
			}
		})
	}
}
