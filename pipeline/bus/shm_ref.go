package bus

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const (
	ringPrefix  = "sightline-"
	ringSuffix  = 16         // hexadecimal digits that make a name unique
	maxRingName = 128        // characters
	sharedDir   = "/dev/shm" // memory behind files, where the system has it
	maxSlots    = 1024       // of one ring
	genBits     = 48         // of a slot's state; the low 16 bits count its readers
	readersMask = 1<<(64-genBits) - 1
)

// ref is a reference to what a slot held in one generation, as text "name:slot:generation".
type ref struct {
	name string
	slot int
	gen  uint64
}

func (r ref) String() string {
	var room [maxRingName + 32]byte
	b := append(append(room[:0], r.name...), ':')
	b = append(strconv.AppendInt(b, int64(r.slot), 10), ':')
	return string(strconv.AppendUint(b, r.gen, 10))
}

// parseRef allocates nothing but errors.
func parseRef(text string) (ref, error) {
	name, rest, _ := strings.Cut(text, ":")
	slotText, genText, ok := strings.Cut(rest, ":")
	if !ok || !ringName(name) {
		return ref{}, fmt.Errorf("reference %.160q: must be the name of a ring, a slot and a generation joined by colons", text)
	}
	slot, err := parseNumber(slotText, 16)
	if err == nil && slot >= maxSlots {
		err = fmt.Errorf("slot %d: must be below %d", slot, maxSlots)
	}
	if err != nil {
		return ref{}, fmt.Errorf("reference %.160q: slot: %w", text, err)
	}
	gen, err := parseNumber(genText, genBits)
	if err == nil && (gen == 0 || gen%2 != 0) {
		err = errors.New("must be even and not 0")
	}
	if err != nil {
		return ref{}, fmt.Errorf("reference %.160q: generation: %w", text, err)
	}
	return ref{name, int(slot), gen}, nil
}

// ringName tells whether a name is sightline-<uid>-<pid>-<camera>-<16 hex>. It holds no slash and no dot, so it cannot
// lead out of the directory of the rings.
func ringName(name string) bool {
	rest, ok := strings.CutPrefix(name, ringPrefix)
	if !ok || len(name) > maxRingName {
		return false
	}
	uid, rest, _ := strings.Cut(rest, "-")
	pid, rest, _ := strings.Cut(rest, "-")
	end := len(rest) - ringSuffix - 1
	if !digits(uid) || !digits(pid) || end < 1 || rest[end] != '-' || ValidateCamera(rest[:end]) != nil {
		return false
	}
	return strings.Trim(rest[end+1:], "0123456789abcdef") == ""
}

func digits(s string) bool {
	_, err := parseNumber(s, 32)
	return err == nil
}

// ringDir is where rings lie: memory where the system offers it as files, else the directory of temporary files.
func ringDir() string {
	if info, err := os.Stat(sharedDir); err == nil && info.IsDir() {
		return sharedDir
	}
	return os.TempDir()
}
