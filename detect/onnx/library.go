package onnx

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// LibraryVariable is the environment variable that names libonnxruntime.so.
const LibraryVariable = "SIGHTLINE_ONNXRUNTIME"

// systemFolders are where installed libraries lie; those of the machine's own linker come by name alone, last.
var systemFolders = []string{
	"/usr/local/lib", "/usr/local/lib64", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
}

// environment is the process's one onnxruntime: the library cannot be loaded twice nor changed.
var environment struct {
	sync.Mutex
	library string // real path; "" until loaded
}

// FindLibrary gives the path of the onnxruntime library: the one named, else $SIGHTLINE_ONNXRUNTIME, else the newest in the cache
// that `make deps` fills, else one in the system's folders. A name that leads nowhere is an error and not passed over.
func FindLibrary(named string) (string, error) {
	for _, n := range []struct{ path, who string }{{named, "the configuration"}, {os.Getenv(LibraryVariable), "$" + LibraryVariable}} {
		if n.path == "" {
			continue
		}
		if noFile(n.path) {
			return "", fmt.Errorf("find onnxruntime: %s names %s, which is no file: correct it, or leave it empty and run `make deps`", n.who, n.path)
		}
		return n.path, nil
	}
	tried := []string{"the configuration names none", "$" + LibraryVariable + " is not set"}
	for _, pattern := range searchPatterns() {
		// The only error of Glob is a bad pattern: a home with a bracket in its name finds nothing there.
		found, _ := filepath.Glob(pattern)
		found = slices.DeleteFunc(found, noFile)
		slices.SortFunc(found, newestFirst)
		if len(found) > 0 {
			return found[0], nil
		}
		tried = append(tried, pattern)
	}
	return "", fmt.Errorf("find onnxruntime: no libonnxruntime.so (%s): run `make deps`, or set $%s to its path",
		strings.Join(tried, "; "), LibraryVariable)
}

func noFile(path string) bool {
	info, err := os.Stat(path)
	return err != nil || !info.Mode().IsRegular()
}

func searchPatterns() []string {
	var patterns []string
	// Without a home there is no cache, and the system's folders remain.
	if cache, err := os.UserCacheDir(); err == nil {
		patterns = append(patterns, filepath.Join(cache, "sightline", "onnxruntime-*", "libonnxruntime.so*"))
	}
	for _, folder := range systemFolders {
		patterns = append(patterns, filepath.Join(folder, "libonnxruntime.so*"))
	}
	return patterns
}

// newestFirst orders paths by the numbers in them, so that 1.32 stands before 1.4.
func newestFirst(a, b string) int { return slices.Compare(numbers(b), numbers(a)) }

func numbers(path string) []int {
	var found []int
	inside := false
	for _, c := range path {
		if c < '0' || c > '9' {
			inside = false
			continue
		}
		if !inside {
			found = append(found, 0)
			inside = true
		}
		found[len(found)-1] = min(found[len(found)-1]*10+int(c-'0'), 1<<30)
	}
	return found
}

// load loads the library once a process.
func load(named string) error {
	path, err := FindLibrary(named)
	if err != nil {
		return err
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return fmt.Errorf("find onnxruntime: %w", err)
	}
	environment.Lock()
	defer environment.Unlock()
	if environment.library != "" {
		if environment.library != path {
			return fmt.Errorf("load onnxruntime %s: this process has already loaded %s, and there can be only one", path, environment.library)
		}
		return nil
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(ort.WithLogLevelError()); err != nil {
		return fmt.Errorf("load onnxruntime %s: %w: it must be version 1.%d or newer for this machine; run `make deps`", path, err, minMinor)
	}
	environment.library = path
	return nil
}

// minMinor is the oldest release (1.x) that has the C interface that this program was built for.
const minMinor = 24

// Version is the version of the onnxruntime library that FindLibrary finds, such as 1.32.0.
func Version(library string) (string, error) {
	if err := load(library); err != nil {
		return "", err
	}
	return ort.GetVersion(), nil
}
