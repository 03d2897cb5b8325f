package ingest

import (
	"net/url"
	"regexp"
	"strings"
)

// Redact returns text without the user name and password of any address in it: rtsp://***@host/path.
func Redact(text string) string { return userinfo.ReplaceAllString(text, "://***@") }

// userinfo takes all up to the last @: a password may hold an @ or a slash that nobody escaped.
var userinfo = regexp.MustCompile(`://[^\s"'<>]*@`)

// redactor takes one camera's credentials out of texts, also where they stand without an address around them.
type redactor struct{ replacer *strings.Replacer }

// newRedactor finds the credentials in a source's address.
func newRedactor(source string) redactor {
	var words []string
	add := func(word string) {
		if len(word) > 2 { // a shorter one would shred the text and hides nothing
			words = append(words, word, "***")
		}
	}
	_, rest, _ := strings.Cut(source, "://")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		_, password, _ := strings.Cut(rest[:at], ":")
		add(password)
		if plain, err := url.PathUnescape(password); err == nil {
			add(plain)
			add(url.QueryEscape(plain))
			add(url.UserPassword("", plain).String()[1:])
		}
	}
	return redactor{strings.NewReplacer(words...)}
}

func (r redactor) text(s string) string { return r.replacer.Replace(Redact(s)) }

// redactedError is err with the credentials taken out of its text; errors.Is and errors.As still see the causes.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

func (r redactor) error(err error) error { return &redactedError{r.text(err.Error()), err} }
