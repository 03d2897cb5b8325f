package ingest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strings"
	"testing"
)

func TestNoCredentialsInTexts(t *testing.T) {
	for source, word := range map[string]string{
		"rtsp://admin:S3cr3t!@10.0.0.1/1":      "S3cr3t!",
		"rtsp://admin:S3cr3t%21@10.0.0.1/1":    "S3cr3t!",
		"rtsp://S3cr3t!@host":                  "",
		"rtsp://a:S3cr3t!@b@host:554/x?y=1":    "S3cr3t!@b",
		"rtsp://a:S3cr3t!/x@host/y":            "S3cr3t!/x",
		"rtsps://a:S3cr3t%2F%40%23@host:322/y": "S3cr3t/@#",
	} {
		r := newRedactor(source)
		texts := []string{source, "dial " + source + ": refused", fmt.Sprintf("parse %q: bad", source), "RTSP" + source[4:]}
		for _, text := range texts {
			if got := Redact(text); strings.Contains(got, "S3cr3t") {
				t.Errorf("%q became %q", text, got)
			}
		}
		if word != "" {
			texts = append(texts, "password "+word+" refused", "response="+url.QueryEscape(word), "{"+word+"}")
		}
		for _, text := range texts {
			if got := r.text(text); strings.Contains(got, "S3cr3t") {
				t.Errorf("source %s: %q became %q", source, text, got)
			}
		}
	}
	r := newRedactor("rtsp://u:secret@host/1")
	err := r.error(fmt.Errorf("open rtsp://u:secret@host/1: %w", &Error{Permanent, fs.ErrNotExist}))
	if err.Error() != "open rtsp://***@host/1: file does not exist" || !errors.Is(err, fs.ErrNotExist) || classOf(err) != Permanent {
		t.Errorf("error: %v, class %v", err, classOf(err))
	}
	if got := newRedactor("clip.mp4").text("open clip.mp4: a@b"); got != "open clip.mp4: a@b" {
		t.Errorf("nothing to hide, yet %q", got)
	}
}
