package catalogue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxRedirects is more than any host of releases needs.
const maxRedirects = 10

// newClient follows redirects to https only, and waits for no answer for ever.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:errcheck // it is one
	transport.ResponseHeaderTimeout = time.Minute
	transport.DisableCompression = true // lengths are those of the file
	return &http.Client{Transport: transport, CheckRedirect: onlyHTTPS}
}

func onlyHTTPS(r *http.Request, via []*http.Request) error {
	switch {
	case len(via) >= maxRedirects:
		return fmt.Errorf("more than %d redirects", maxRedirects)
	case r.URL.Scheme != "https":
		return fmt.Errorf("it redirects to %s, which is not https", r.URL.Redacted())
	}
	return nil
}

// web fetches from an address. Whoever names a mirror without TLS may: the sum tells whether the bytes are right.
func (o PullOptions) web(e Entry, scheme, address string) (fetcher, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || scheme != "https" && scheme != "http" {
		return nil, fmt.Errorf("%.200q is no address: must be https://… or http://…, a file or a folder", redacted(address))
	}
	if strings.HasSuffix(u.Path, "/") {
		u = u.JoinPath(e.File)
	}
	client := http.Client{CheckRedirect: onlyHTTPS}
	if o.Client != nil {
		client.Transport = o.Client.Transport
	} else {
		client = *newClient()
	}
	stall := o.Stall
	if stall == 0 {
		stall = time.Minute
	}
	return func(ctx context.Context, offset int64) (io.ReadCloser, int64, error) {
		body, from, err := open(ctx, &client, u, e, offset, stall)
		if err != nil {
			return nil, 0, fmt.Errorf("fetch %s: %w; pull again, or name a file, a folder or a mirror with --from", u.Redacted(), withoutURL(err))
		}
		return body, from, nil
	}, nil
}

// redacted is an address without what may be a password.
func redacted(address string) string {
	if scheme, rest, ok := strings.Cut(address, "://"); ok && strings.Contains(rest, "@") {
		return scheme + "://…" + rest[strings.LastIndexByte(rest, '@'):]
	}
	return address
}

// withoutURL takes the address out of an error that is told beside it.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func open(ctx context.Context, client *http.Client, u *url.URL, e Entry, offset int64, stall time.Duration) (io.ReadCloser, int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(stall, func() {
		cancel(fmt.Errorf("nothing came for %s", stall))
	})
	answer, err := ask(ctx, client, u, offset)
	if err != nil {
		watch.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return nil, 0, err
	}
	body := &watched{answer.Body, ctx, cancel, watch, stall}
	from, err := startOf(answer, e, offset)
	if err != nil {
		return nil, 0, errors.Join(err, body.Close())
	}
	return body, from, nil
}

func ask(ctx context.Context, client *http.Client, u *url.URL, offset int64) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "sightline")
	if offset > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	}
	return client.Do(r)
}

// startOf tells from which byte on an answer has the file.
func startOf(answer *http.Response, e Entry, offset int64) (int64, error) {
	from := int64(0)
	switch answer.StatusCode {
	case http.StatusOK:
	case http.StatusPartialContent:
		var start int64
		if _, err := fmt.Sscanf(answer.Header.Get("Content-Range"), "bytes %d-", &start); err != nil || start != offset {
			return 0, fmt.Errorf("it was asked for the bytes from %d on and answers %.60q: try another source with --from", offset, answer.Header.Get("Content-Range"))
		}
		from = offset
	case http.StatusNotFound, http.StatusGone:
		return 0, fmt.Errorf("it is not there (%s): try another source with --from", answer.Status)
	default:
		return 0, fmt.Errorf("the server answers %s: try again later, or another source with --from", answer.Status)
	}
	if n := answer.ContentLength; n >= 0 && from+n > e.Bytes {
		return 0, fmt.Errorf("%w: it has %d bytes, the catalogue's %d; try another source with --from", errSum, from+n, e.Bytes)
	}
	return from, nil
}

// watched is a body that ends when nothing comes for too long.
type watched struct {
	io.ReadCloser
	ctx    context.Context //nolint:containedctx // of one request
	cancel context.CancelCauseFunc
	watch  *time.Timer
	stall  time.Duration
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.watch.Reset(w.stall)
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(w.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (w *watched) Close() error {
	w.watch.Stop()
	err := w.ReadCloser.Close()
	w.cancel(nil)
	return err
}
