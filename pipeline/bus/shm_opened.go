package bus

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
)

// openedRing is a ring that this process has mapped for reading, once for all of its mappers.
type openedRing struct {
	m     *mapping
	fd    int
	path  string
	users int // mappers that have it; openedRings' mutex protects it
}

// openedRings are those of this process by their paths.
var openedRings = struct {
	sync.Mutex
	byPath map[string]*openedRing
}{byPath: map[string]*openedRing{}}

// openRing gives a ring that is mapped already, or maps its file after checking that it is one: a plain file of the user in its name, of
// the size that its header asks for.
func openRing(path string) (*openedRing, error) {
	openedRings.Lock()
	defer openedRings.Unlock()
	if r := openedRings.byPath[path]; r != nil {
		if r.unlinked() {
			return nil, ErrStale
		}
		r.users++
		return r, nil
	}
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENOENT) {
		return nil, ErrStale
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	m, err := mapChecked(fd)
	if err != nil {
		_ = syscall.Close(fd)
		return nil, fmt.Errorf("ring %s: %w", path, err)
	}
	r := &openedRing{m: m, fd: fd, path: path, users: 1}
	openedRings.byPath[path] = r
	return r, nil
}

// unlinked tells that the ring's owner is gone.
func (r *openedRing) unlinked() bool {
	var st syscall.Stat_t
	return syscall.Fstat(r.fd, &st) != nil || st.Nlink == 0
}

// giveBack ends one mapper's use; the last one unmaps.
func (r *openedRing) giveBack() {
	openedRings.Lock()
	defer openedRings.Unlock()
	if r.users--; r.users > 0 {
		return
	}
	delete(openedRings.byPath, r.path)
	r.m.unmap()
	_ = syscall.Close(r.fd)
}

func mapChecked(fd int) (*mapping, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG || st.Mode&0o077 != 0 {
		return nil, errors.New("must be a plain file that its owner alone may use")
	}
	head := make([]byte, ringEntry)
	if n, err := syscall.Pread(fd, head, 0); err != nil || n < len(head) {
		return nil, errors.Join(errors.New("the file is too short"), err)
	}
	g, err := readHeader(head, st.Size)
	if err != nil {
		return nil, err
	}
	return mapRing(fd, g, syscall.PROT_READ)
}
