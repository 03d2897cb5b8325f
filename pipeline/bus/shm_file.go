package bus

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// ringFile is an owner's open file. Its lock says that the owner lives: unlike a process number, a lock means the same
// in every container that shares the memory.
type ringFile struct {
	fd         int
	path, name string
}

func createRingFile(dir, camera string, size int64) (ringFile, error) {
	var random [ringSuffix / 2]byte
	if _, err := rand.Read(random[:]); err != nil {
		return ringFile{}, err
	}
	name := fmt.Sprintf("%s%d-%d-%s-%s", ringPrefix, os.Getuid(), os.Getpid(), camera, hex.EncodeToString(random[:]))
	path := filepath.Join(dir, name)
	fd, err := syscall.Open(path, syscall.O_CREAT|syscall.O_EXCL|syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return ringFile{}, &fs.PathError{Op: "create", Path: path, Err: err}
	}
	file := ringFile{fd, path, name}
	if err := file.claim(size); err != nil {
		return ringFile{}, errors.Join(err, file.remove())
	}
	return file, nil
}

// claim locks the file and reserves its memory, so that no write into it can fail later.
func (f ringFile) claim(size int64) error {
	// Somebody who looks for left-overs may hold the lock of the empty file for a moment, so this waits.
	err := syscall.Flock(f.fd, syscall.LOCK_EX)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Flock(f.fd, syscall.LOCK_EX)
	}
	if err != nil {
		return &fs.PathError{Op: "lock", Path: f.path, Err: err}
	}
	err = reserve(f.fd, size)
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("reserve %d MiB in %s: %w (give it more room, such as --shm-size=1g for a container, or set frames.transport: jpeg)",
			size>>20+1, filepath.Dir(f.path), err)
	}
	if err != nil {
		return fmt.Errorf("reserve %d bytes in %s: %w", size, f.path, err)
	}
	return nil
}

func (f ringFile) remove() error {
	err := syscall.Unlink(f.path)
	_ = syscall.Close(f.fd)
	if err != nil && !errors.Is(err, syscall.ENOENT) {
		return &fs.PathError{Op: "remove", Path: f.path, Err: err}
	}
	return nil
}

// removeLeftovers removes the rings of this user whose owners are gone. What cannot be removed stays: it is only memory.
func removeLeftovers(dir string) {
	entries, _ := os.ReadDir(dir)
	mine := fmt.Sprintf("%s%d-", ringPrefix, os.Getuid())
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), mine) && ringName(e.Name()) && e.Type().IsRegular() {
			removeLeftover(filepath.Join(dir, e.Name()))
		}
	}
}

func removeLeftover(path string) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return
	}
	defer syscall.Close(fd)
	if syscall.Flock(fd, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return // its owner lives
	}
	var st syscall.Stat_t
	if syscall.Fstat(fd, &st) == nil && st.Size > 0 { // an empty one is being made at this moment
		_ = syscall.Unlink(path)
	}
}
