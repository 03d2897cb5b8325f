//go:build screenshot

package main

import (
	"os"
	"strings"
	"testing"
)

// street are places of the demo clip.
const street = `    zones: {road: {coordinates: [[0.34, 0.37], [0.86, 0.3], [0.92, 0.46], [0.34, 0.5]], labels: [person]}}
    lines: {lamp: {coordinates: [[0.5, 0.62], [0.5, 0.3]], labels: [person]}}
    masks: {house: {coordinates: [[0.41, 0], [0.76, 0], [0.76, 0.19], [0.41, 0.15]]}}
`

// TestScreenshot takes the README's picture of the page; see `make screenshot`.
func TestScreenshot(t *testing.T) {
	source, others, _ := strings.Cut(os.Getenv("SOURCE"), " ")
	config := write(t, "quiet.yaml", "bus: {listen: \"\"}\ncameras:\n  street:\n    source: "+source+"\n    loop: true\n"+street)
	p := start(t, nil, run(append([]string{"-c", config, "--model", os.Getenv("MODEL")}, strings.Fields(others)...)...)...)
	page := openPage(t, p.page(t))
	promised[[]int](t, page, shown(200))
	capture(t, page, os.Getenv("SCREENSHOT"))
}
