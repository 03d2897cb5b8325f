package catalogue

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/bundle"
)

// PullOptions say where an original comes from and where it goes.
type PullOptions struct {
	From     string        // file, folder or address of a mirror (one that ends in / is a folder); "": the entry's own address
	To       string        // folder, made where it is missing
	Client   *http.Client  // nil: one that is careful; see newClient
	Stall    time.Duration // how long nothing may come; 0: a minute
	Progress func(done, total int64)
}

// part is what the name of a file ends in that is not whole yet. What lies there is taken up again.
const part = ".part"

// errSum is returned for a file that is another than the catalogue's.
var errSum = errors.New("it is another file")

// Pull brings an original into a folder, with a card beside it that says where it is from and under which licence, and gives its path. The file has its name only when it is whole and has the right sum; what
// has come of it before lies beside it and is taken up by the next Pull.
func Pull(ctx context.Context, e Entry, o PullOptions) (string, error) {
	path := filepath.Join(o.To, e.File)
	err := pull(ctx, e, o, path)
	if err == nil {
		err = describe(path, e)
	}
	if err != nil {
		return "", fmt.Errorf("pull %s: %w", e.Name, err)
	}
	return path, nil
}

func pull(ctx context.Context, e Entry, o PullOptions, path string) error {
	there, err := alreadyThere(e, path)
	if err != nil || there {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return graph.Remedied(err)
	}
	fetch, err := o.source(e)
	if err != nil {
		return err
	}
	resumed, err := get(ctx, e, path+part, fetch, o.Progress)
	if errors.Is(err, errSum) && resumed { // what lay there from before was of something else
		_, err = get(ctx, e, path+part, fetch, o.Progress)
	}
	if err != nil {
		return err
	}
	return graph.Remedied(os.Rename(path+part, path))
}

// describe writes a card, unless there is one.
func describe(path string, e Entry) error {
	card := strings.TrimSuffix(path, ".onnx") + ".yaml"
	if _, err := os.Lstat(card); err == nil {
		_, err := models.Load(path)
		return err
	}
	spec, err := models.Load(path)
	if err != nil {
		return err
	}
	c := bundle.Card(spec, nil, models.CardOrigin{URL: cmp.Or(e.URL, e.Page), SHA256: e.SHA256}, e.Licence, "sightline model pull "+e.Name)
	c.SHA256 = spec.SHA256
	text, err := c.Marshal(false)
	if err != nil {
		return err
	}
	return graph.WriteFile(card, text)
}

// alreadyThere tells whether the file is there; another one in its place is left alone and refused.
func alreadyThere(e Entry, path string) (bool, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, err
	case !info.Mode().IsRegular():
		return false, fmt.Errorf("%s is there and no plain file: remove it, or choose another folder with --to", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	sum, n, err := sumOf(io.LimitReader(f, e.Bytes+1))
	if err == nil && (sum != e.SHA256 || n != e.Bytes) {
		err = fmt.Errorf("%s is there and another file than the catalogue's %s: remove it, or choose another folder with --to", path, e.Name)
	}
	return err == nil, err
}

func sumOf(r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// fetcher opens the bytes of an original from an offset on. It may give them from the start on instead, and says from where.
type fetcher func(ctx context.Context, offset int64) (body io.ReadCloser, from int64, err error)

// source chooses where the bytes come from.
func (o PullOptions) source(e Entry) (fetcher, error) {
	from := o.From
	if from == "" {
		if from = e.URL; from == "" {
			return nil, fmt.Errorf("no address is known that gives these bytes: name a file, a folder or a mirror with --from (see %s; sha256 %s)", e.Page, e.SHA256)
		}
	}
	if scheme, _, ok := strings.Cut(from, "://"); ok {
		return o.web(e, scheme, from)
	}
	if info, err := os.Stat(from); err == nil && info.IsDir() {
		from = filepath.Join(from, e.File)
	}
	return func(_ context.Context, offset int64) (io.ReadCloser, int64, error) {
		info, err := os.Stat(from)
		if err != nil {
			return nil, 0, err
		}
		if !info.Mode().IsRegular() {
			return nil, 0, fmt.Errorf("%s is no file", from)
		}
		if info.Size() != e.Bytes {
			return nil, 0, fmt.Errorf("%w: %s has %d bytes, the catalogue's %d; name another with --from", errSum, from, info.Size(), e.Bytes)
		}
		f, err := os.Open(from)
		return f, 0, err // from the start: reading costs nothing
	}, nil
}

// get brings the rest of the file into place and checks all of it. resumed tells that some of it lay there before. A file that
// is wrong is removed, one that is not whole stays.
func get(ctx context.Context, e Entry, place string, fetch fetcher, progress func(done, total int64)) (resumed bool, err error) {
	f, err := os.OpenFile(place, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return false, graph.Remedied(err)
	}
	wrong := false
	defer func() {
		if err = errors.Join(err, f.Close()); wrong {
			err = errors.Join(err, os.Remove(place))
		}
	}()
	had, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false, err
	}
	if had > e.Bytes {
		had = 0
	}
	if had < e.Bytes {
		if resumed, err = fill(ctx, e, f, had, fetch, progress); err != nil {
			wrong = errors.Is(err, errSum)
			return resumed, err
		}
	} else {
		resumed = true
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return resumed, err
	}
	sum, _, err := sumOf(f)
	if err == nil && sum != e.SHA256 {
		wrong = true
		return resumed, fmt.Errorf("%w: its sha256 is %s, the catalogue's %s; nothing was kept, try another source with --from", errSum, sum, e.SHA256)
	}
	return resumed, errors.Join(err, f.Sync())
}

// fill writes what is missing behind the first had bytes.
func fill(ctx context.Context, e Entry, f *os.File, had int64, fetch fetcher, progress func(done, total int64)) (resumed bool, err error) {
	body, from, err := fetch(ctx, had)
	if err != nil {
		return false, err
	}
	defer body.Close()
	if err := f.Truncate(from); err != nil {
		return false, err
	}
	if _, err := f.Seek(from, io.SeekStart); err != nil {
		return false, err
	}
	to := &shown{ctx: ctx, to: f, done: from, total: e.Bytes, progress: progress}
	_, err = io.Copy(to, io.LimitReader(body, e.Bytes-from+1))
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("%w after %d of %d bytes; the same command goes on from there", context.Cause(ctx), to.done, e.Bytes)
	case to.failed != nil:
		err = graph.Remedied(to.failed)
	case to.done > e.Bytes:
		err = fmt.Errorf("%w: it has more than %d bytes; nothing was kept, try another source with --from", errSum, e.Bytes)
	case to.done < e.Bytes:
		err = fmt.Errorf("only %d of %d bytes came (%w); the same command goes on from there", to.done, e.Bytes, cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return from > 0, err
}

// shown is a file that tells how far it has come, and takes nothing once the context has ended.
type shown struct {
	ctx         context.Context //nolint:containedctx // of one copy
	to          io.Writer
	done, total int64
	failed      error // to write
	progress    func(done, total int64)
}

func (s *shown) Write(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.to.Write(p)
	s.done, s.failed = s.done+int64(n), err
	if s.progress != nil {
		s.progress(min(s.done, s.total), s.total)
	}
	return n, err
}
