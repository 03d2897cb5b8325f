//go:build screenshot

package main

import (
	"os"
	"strings"
	"testing"
)

// TestScreenshot takes the README's picture of the page; see `make screenshot`.
func TestScreenshot(t *testing.T) {
	config := write(t, "quiet.yaml", "bus: {listen: \"\"}\n")
	args := append([]string{"-c", config, "--loop", "--model", os.Getenv("MODEL")}, strings.Fields(os.Getenv("SOURCE"))...)
	p := start(t, nil, run(args...)...)
	page := openPage(t, p.page(t))
	promised[[]int](t, page, shown(60))
	capture(t, page, os.Getenv("SCREENSHOT"))
}
