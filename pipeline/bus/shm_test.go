package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func newRing(t testing.TB, slots, width, height int) *Ring {
	t.Helper()
	r, err := NewRing("gate", slots, width, height)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func newMapper(t testing.TB) *Mapper {
	t.Helper()
	m := NewMapper()
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func mustAcquire(t testing.TB, r *Ring) *Slot {
	t.Helper()
	s, err := r.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func commit(t testing.TB, r *Ring, fill byte) string {
	t.Helper()
	s := mustAcquire(t, r)
	for _, plane := range [][]byte{s.Planes().Y, s.Planes().U, s.Planes().V} {
		for i := range plane {
			plane[i] = fill
		}
	}
	return s.Commit()
}

func mustOpen(t testing.TB, m *Mapper, ref string) *View {
	t.Helper()
	v, err := m.Open(ref)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSharedFrame(t *testing.T) {
	ring, mapper := newRing(t, 2, 333, 77), newMapper(t)
	slot := mustAcquire(t, ring)
	p := slot.Planes()
	if p.Width != 333 || p.Height != 77 || p.StrideY < 333 || p.StrideC < 167 || len(p.Y) != 77*p.StrideY || len(p.U) != 39*p.StrideC || len(p.V) != len(p.U) {
		t.Fatalf("planes of %dx%d, strides %d and %d, %d, %d and %d bytes", p.Width, p.Height, p.StrideY, p.StrideC, len(p.Y), len(p.U), len(p.V))
	}
	copy(p.Y, "luma")
	copy(p.U, "blue")
	copy(p.V, "red")
	p.Matrix, p.FullRange = 1, true
	ref := slot.Commit()
	view := mustOpen(t, mapper, ref)
	got := view.Planes()
	if !bytes.Equal(got.Y, p.Y) || !bytes.HasPrefix(got.U, []byte("blue")) || !bytes.HasPrefix(got.V, []byte("red")) || got.Matrix != 1 || !got.FullRange ||
		got.StrideY != p.StrideY || got.StrideC != p.StrideC || got.Width != 333 || got.Height != 77 {
		t.Error("the reader sees another frame")
	}
	if !view.Valid() {
		t.Error("the view is not valid")
	}
	view.Release()
	view.Release()
	if view.Valid() || view.Planes().Y != nil {
		t.Error("a released view is still good")
	}
}

func TestRingUsesTheOldestSlotAgain(t *testing.T) {
	ring, mapper := newRing(t, 3, 16, 16), newMapper(t)
	first, second, third := commit(t, ring, 1), commit(t, ring, 2), commit(t, ring, 3)
	fourth := commit(t, ring, 4)
	if _, err := mapper.Open(first); !errors.Is(err, ErrStale) {
		t.Errorf("the oldest frame: %v", err)
	}
	for i, ref := range []string{second, third, fourth} {
		view := mustOpen(t, mapper, ref)
		if view.Planes().Y[0] != byte(i+2) {
			t.Errorf("frame %d holds %d", i+2, view.Planes().Y[0])
		}
		view.Release()
	}
}

func TestReadersHoldTheirSlot(t *testing.T) {
	ring, mapper := newRing(t, 2, 16, 16), newMapper(t)
	a, b := mustOpen(t, mapper, commit(t, ring, 1)), mustOpen(t, mapper, commit(t, ring, 2))
	if _, err := ring.Acquire(); !errors.Is(err, ErrRingFull) {
		t.Fatalf("with every slot held: %v", err)
	}
	a.Release()
	commit(t, ring, 3)
	if !b.Valid() || b.Planes().Y[0] != 2 {
		t.Error("a held frame was touched")
	}
	b.Release()
}

// TestAbortedSlotIsUsedFirst, so that pictures that are not published take no frames away.
func TestAbortedSlotIsUsedFirst(t *testing.T) {
	ring, mapper := newRing(t, 4, 16, 16), newMapper(t)
	first, second, third := commit(t, ring, 1), commit(t, ring, 2), commit(t, ring, 3)
	for range 10 {
		mustAcquire(t, ring).Abort()
	}
	commit(t, ring, 4)
	for _, ref := range []string{first, second, third} {
		mustOpen(t, mapper, ref).Release()
	}
}

// TestKeptSlotIsNotWrittenAgain, while readers come and go, until its writer needs it no more.
func TestKeptSlotIsNotWrittenAgain(t *testing.T) {
	ring, mapper := newRing(t, 2, 16, 16), newMapper(t)
	slot := mustAcquire(t, ring)
	slot.Keep()
	slot.Keep()
	slot.Planes().Y[0] = 7
	ref := slot.Commit()
	for i := range 5 {
		commit(t, ring, byte(i))
	}
	view := mustOpen(t, mapper, ref)
	if view.Planes().Y[0] != 7 {
		t.Error("a kept slot was written again")
	}
	view.Release()
	slot.Release()
	slot.Release()
	commit(t, ring, 8)
	commit(t, ring, 9)
	if _, err := mapper.Open(ref); !errors.Is(err, ErrStale) {
		t.Errorf("after its release: %v", err)
	}
}

// TestClosedRingKeepsItsMemory for a writer that still reads a slot.
func TestClosedRingKeepsItsMemory(t *testing.T) {
	ring := newRing(t, 2, 16, 16)
	slot := mustAcquire(t, ring)
	slot.Keep()
	slot.Planes().Y[0] = 7
	slot.Commit()
	if err := ring.Close(); err != nil {
		t.Fatal(err)
	}
	if slot.Planes().Y[0] != 7 { // a fault where the memory is gone
		t.Error("the slot was touched")
	}
	slot.Release()
	if ring.m.pixels != nil {
		t.Error("the memory is still mapped")
	}
}

// TestPlanesHaveRoomForWholeBlocks below the picture, where decoders write.
func TestPlanesHaveRoomForWholeBlocks(t *testing.T) {
	p := mustAcquire(t, newRing(t, 2, 1918, 1080)).Planes()
	if cap(p.Y) < 1090*p.StrideY || cap(p.U) < 545*p.StrideC || cap(p.V) < 545*p.StrideC || p.StrideC%64 != 0 {
		t.Errorf("%d, %d and %d bytes with strides of %d and %d", cap(p.Y), cap(p.U), cap(p.V), p.StrideY, p.StrideC)
	}
}

func TestAbortedSlotIsNeverRead(t *testing.T) {
	ring, mapper := newRing(t, 1, 16, 16), newMapper(t)
	ref := commit(t, ring, 1)
	slot := mustAcquire(t, ring)
	if _, err := mapper.Open(ref); !errors.Is(err, ErrStale) {
		t.Errorf("while it is written: %v", err)
	}
	slot.Abort()
	slot.Abort()
	if _, err := mapper.Open(ref); !errors.Is(err, ErrStale) {
		t.Errorf("after abort: %v", err)
	}
	view := mustOpen(t, mapper, commit(t, ring, 2))
	slot.Abort() // of a slot that was committed since
	if !view.Valid() {
		t.Error("a late abort took a committed frame away")
	}
	view.Release()
}

func TestLeaseEnds(t *testing.T) {
	ring, mapper := newRing(t, 2, 16, 16), newMapper(t)
	ring.lease = 0
	crashed := mustOpen(t, mapper, commit(t, ring, 1))
	ring.lease = time.Hour
	held := mustOpen(t, mapper, commit(t, ring, 2))
	var slot *Slot
	eventually(t, "the slot of the lease that ended is free", func() bool {
		var err error
		slot, err = ring.Acquire()
		return err == nil
	})
	if crashed.Valid() || !held.Valid() {
		t.Errorf("valid: crashed %v, held %v", crashed.Valid(), held.Valid())
	}
	next := mustOpen(t, mapper, slot.Commit())
	crashed.Release() // must not count against the new readers of its slot
	if _, err := ring.Acquire(); !errors.Is(err, ErrRingFull) || !next.Valid() {
		t.Errorf("after a late release: %v, valid %v", err, next.Valid())
	}
	next.Release()
	held.Release()
}

func TestRingGoes(t *testing.T) {
	ring, err := NewRing("gate", 2, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	mapper, late := newMapper(t), newMapper(t)
	ref := commit(t, ring, 9)
	view := mustOpen(t, mapper, ref)
	slot := mustAcquire(t, ring)
	if err := errors.Join(ring.Close(), ring.Close()); err != nil {
		t.Fatal(err)
	}
	slot.Planes().Y[0] = 1 // still there until the slot is given back
	slot.Abort()
	if _, err := ring.Acquire(); err == nil {
		t.Error("a closed ring gave a slot")
	}
	if _, err := late.Open(ref); !errors.Is(err, ErrStale) {
		t.Errorf("opened after the end: %v", err)
	}
	mapper.swept = time.Time{}
	if _, err := mapper.Open(ref); !errors.Is(err, ErrStale) || len(mapper.rings) != 0 {
		t.Errorf("after the sweep: %v, %d rings", err, len(mapper.rings))
	}
	if !view.Valid() || view.Planes().Y[5] != 9 {
		t.Error("a view that was open lost its frame")
	}
	mapping := view.ring.m
	view.Release()
	if mapping.pixels != nil {
		t.Error("the last release did not unmap")
	}
}

// TestMappersOfAProcessShareAMapping, until the last of them is closed.
func TestMappersOfAProcessShareAMapping(t *testing.T) {
	ring, one, two := newRing(t, 2, 16, 16), NewMapper(), NewMapper()
	ref := commit(t, ring, 9)
	a, b := mustOpen(t, one, ref), mustOpen(t, two, ref)
	if &a.Planes().Y[0] != &b.Planes().Y[0] {
		t.Error("they look at two mappings")
	}
	mapping := a.ring.m
	a.Release()
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if b.Planes().Y[0] != 9 || !b.Valid() {
		t.Error("the other's frame is gone")
	}
	b.Release()
	if err := two.Close(); err != nil || mapping.pixels != nil {
		t.Errorf("after both are closed: %v, still mapped: %v", err, mapping.pixels != nil)
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	dead, err := NewRing("gate", 1, 16, 16)
	if err != nil {
		t.Fatal(err)
	}
	living := newRing(t, 1, 16, 16)
	mapper := newMapper(t)
	view := mustOpen(t, mapper, commit(t, dead, 1)) // a reader does not keep the name alive
	// What the system does for a process that died: its files are closed, which ends the lock.
	if err := syscall.Flock(dead.file.fd, syscall.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	newRing(t, 1, 16, 16)
	if _, err := os.Stat(dead.file.path); !os.IsNotExist(err) {
		t.Errorf("the dead owner's ring: %v", err)
	}
	if _, err := os.Stat(living.file.path); err != nil {
		t.Errorf("a living owner's ring: %v", err)
	}
	view.Release()
	if err := dead.Close(); err != nil {
		t.Error(err)
	}
}

func TestParseRefRefuses(t *testing.T) {
	const name = "sightline-0-1-gate-0123456789abcdef"
	if got, err := parseRef(name + ":3:42"); err != nil || got != (ref{name, 3, 42}) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{
		"", ":", "::", name, name + ":3", name + ":3:42:1", name + ":3:41", name + ":3:0", name + ":1024:42", name + ":-1:42", name + ":3:281474976710656",
		"../" + name + ":3:42", "/dev/shm/" + name + ":3:42", "sightline-0-1-../x-0123456789abcdef:3:42", "sightline-0-1-gate-0123456789abcdeX:3:42",
		"sightline-x-1-gate-0123456789abcdef:3:42", "sightline-0--gate-0123456789abcdef:3:42", "sightline-0-1--0123456789abcdef:3:42",
		"sightline-0-1-ga.te-0123456789abcdef:3:42", "sightline-0-1-" + strings.Repeat("x", 65) + "-0123456789abcdef:3:42", "other:3:42",
	} {
		if got, err := parseRef(text); err == nil {
			t.Errorf("%q was accepted as %v", text, got)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("sightline-0-1-gate-0123456789abcdef:3:42")
	f.Add("sightline-0-1-a-b-0123456789abcdef:0:2")
	f.Add("../../etc/passwd:0:2")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseRef(text)
		if err != nil {
			return
		}
		if at.String() != text || strings.ContainsAny(at.name, "/.") || filepath.Base(at.name) != at.name {
			t.Fatalf("%q became %q", text, at)
		}
	})
}

// writeRing lays a file down under a ring's name and gives a reference into it.
func writeRing(t *testing.T, mode os.FileMode, data []byte) string {
	t.Helper()
	name := "sightline-0-1-forged-" + strings.Repeat("f", 16)
	path := filepath.Join(ringDir(), name)
	if err := os.WriteFile(path, data, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(path) })
	return name + ":0:2"
}

func TestMapperRefusesForgedRings(t *testing.T) {
	header := func(slots, width, height uint32, size int) []byte {
		data := make([]byte, size)
		copy(data, ringMagic)
		for i, v := range []uint32{slots, width, height} {
			binary.LittleEndian.PutUint32(data[8+4*i:], v)
		}
		return data
	}
	good := geometry{1, 16, 16}.fileSize()
	for name, c := range map[string]struct {
		mode os.FileMode
		data []byte
	}{
		"empty":         {0o600, nil},
		"short":         {0o600, []byte(ringMagic)},
		"no magic":      {0o600, make([]byte, good)},
		"too small":     {0o600, header(1, 3840, 2160, good)},
		"too large":     {0o600, header(1, 16, 16, good+1)},
		"no slots":      {0o600, header(0, 16, 16, good)},
		"many slots":    {0o600, header(1<<31, 16, 16, good)},
		"wide":          {0o600, header(1, 1<<31, 1<<31, good)},
		"others may it": {0o644, header(1, 16, 16, good)},
	} {
		t.Run(name, func(t *testing.T) {
			ref := writeRing(t, c.mode, c.data)
			if _, err := newMapper(t).Open(ref); err == nil || errors.Is(err, ErrStale) {
				t.Errorf("got %v", err)
			}
		})
	}
	t.Run("slot beyond the ring", func(t *testing.T) {
		ring := newRing(t, 1, 16, 16)
		if _, err := newMapper(t).Open(ref{ring.name, 1, 2}.String()); err == nil || errors.Is(err, ErrStale) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("link", func(t *testing.T) {
		name := "sightline-0-1-forged-" + strings.Repeat("e", 16)
		path := filepath.Join(ringDir(), name)
		if err := os.Symlink("/etc/passwd", path); err != nil {
			t.Fatal(err)
		}
		defer os.Remove(path)
		if _, err := newMapper(t).Open(name + ":0:2"); err == nil {
			t.Error("a link was followed")
		}
	})
}

func FuzzReadHeader(f *testing.F) {
	f.Add([]byte(ringMagic+strings.Repeat("\x01\x00\x00\x00", 14)), int64(12288))
	f.Fuzz(func(t *testing.T, head []byte, size int64) {
		g, err := readHeader(head, size)
		if err == nil && (g.validate() != nil || int64(g.fileSize()) != size) {
			t.Fatalf("accepted %+v for %d bytes", g, size)
		}
	})
}

func TestNewRingRefuses(t *testing.T) {
	for _, c := range []struct {
		camera               string
		slots, width, height int
	}{{"a/b", 1, 16, 16}, {"gate", 0, 16, 16}, {"gate", 1025, 16, 16}, {"gate", 1, 0, 16}, {"gate", 1, 16384, 16384}} {
		if r, err := NewRing(c.camera, c.slots, c.width, c.height); err == nil {
			t.Errorf("%+v was accepted", c)
			_ = r.Close()
		}
	}
}

func TestRingWithoutRoom(t *testing.T) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(ringDir(), &fs); err != nil {
		t.Fatal(err)
	}
	_, err := createRingFile(ringDir(), "gate", int64(fs.Blocks)*int64(fs.Bsize)+ringPage)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), ringDir()) || !strings.Contains(err.Error(), "shm-size") {
		t.Errorf("got %v", err)
	}
}

// TestNoTornFrame writes as fast as it can while readers, each with a mapper of its own as in another process, check
// the sum of what they read. Some let their lease run out on purpose: they must learn of it.
func TestNoTornFrame(t *testing.T) {
	ring := newRing(t, 4, 160, 120)
	ring.lease = 0 // the writer takes slots under its readers whenever no other is free
	var latest atomic.Pointer[string]
	var read, stale, lost atomic.Int64
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 6 {
		mapper := newMapper(t)
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				ref := latest.Load()
				if ref == nil {
					continue
				}
				view, err := mapper.Open(*ref)
				if errors.Is(err, ErrStale) {
					stale.Add(1)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				p := view.Planes()
				want := binary.LittleEndian.Uint32(p.V)
				sum := crc32.Update(crc32.ChecksumIEEE(p.Y), crc32.IEEETable, p.U)
				if !view.Valid() {
					lost.Add(1)
				} else if read.Add(1); sum != want {
					t.Error("a torn frame is valid")
					view.Release()
					return
				}
				view.Release()
			}
		})
	}
	noise := rand.New(rand.NewPCG(1, 2))
	for frames := 0; frames < 3000 || (read.Load() < 100 && !t.Failed()); frames++ {
		slot, err := ring.Acquire()
		if errors.Is(err, ErrRingFull) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		p := slot.Planes()
		for i := 0; i+8 <= len(p.Y); i += 8 {
			binary.LittleEndian.PutUint64(p.Y[i:], noise.Uint64())
		}
		for i := 0; i+8 <= len(p.U); i += 8 {
			binary.LittleEndian.PutUint64(p.U[i:], noise.Uint64())
		}
		binary.LittleEndian.PutUint32(p.V, crc32.Update(crc32.ChecksumIEEE(p.Y), crc32.IEEETable, p.U))
		ref := slot.Commit()
		latest.Store(&ref)
	}
	close(done)
	readers.Wait()
	t.Logf("%d whole, %d taken back while read, %d too late", read.Load(), lost.Load(), stale.Load())
	for i := range ring.slots {
		if state := ring.m.word(i, wordState).Load(); state&readersMask != 0 {
			t.Errorf("slot %d still counts %d readers", i, state&readersMask)
		}
	}
}

func BenchmarkSharedFrame(b *testing.B) {
	ring, mapper := newRing(b, 4, 3840, 2160), newMapper(b)
	b.ReportAllocs()
	for b.Loop() {
		slot := mustAcquire(b, ring)
		view := mustOpen(b, mapper, slot.Commit())
		if !view.Valid() {
			b.Fatal("not valid")
		}
		view.Release()
	}
}
