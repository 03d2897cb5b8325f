package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progress shows how far long work has come: a line that renews itself on a terminal, a line every ten seconds in a log.
type progress struct {
	to       io.Writer
	terminal bool
	last     time.Time
}

func newProgress(to io.Writer) *progress {
	p := &progress{to: to, last: time.Now()}
	if f, ok := to.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// show tells that done of total things are done.
func (p *progress) show(what string, done, total int) {
	every, begin, end := 100*time.Millisecond, "\r", ""
	if !p.terminal {
		every, begin, end = 10*time.Second, "", "\n"
	}
	now := time.Now()
	if done < total && now.Sub(p.last) < every {
		return
	}
	p.last = now
	if p.terminal && done == total {
		end = "\n"
	}
	fmt.Fprintf(p.to, "%s%s: %d of %d%s", begin, what, done, total, end)
}
