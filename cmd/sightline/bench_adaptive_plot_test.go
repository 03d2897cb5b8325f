package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// plotted is one run in the plane of what it costs and what it finds, per cent of the grid's.
type plotted struct {
	name         string
	looks, found float64
}

// The plane: from no look to half of the grid's, and from leastFound to all that the grid finds.
const (
	plotWidth, plotHeight         = 640, 300
	plotLeft, plotTop, plotBottom = 56, 16, 252
	mostLooks, leastFound         = 50, 90
)

func (p plotted) x() float64 { return plotLeft + (plotWidth-plotLeft-24)*p.looks/mostLooks }

func (p plotted) y() float64 {
	return plotBottom - (plotBottom-plotTop)*max(p.found-leastFound, 0)/(100-leastFound)
}

// plot draws the runs to the file that PLOT names, if it does.
func plot(b *testing.B, runs []plotted) {
	b.Helper()
	file := fromRoot(os.Getenv("PLOT"))
	if file == "" {
		return
	}
	var s strings.Builder
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12" fill="#333">`+"\n"+
		`<rect width="100%%" height="100%%" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	for looks := 0; looks <= mostLooks; looks += 10 {
		at := plotted{looks: float64(looks), found: leastFound}
		fmt.Fprintf(&s, `<path d="M%.1f %d V%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", at.x(), plotTop, plotBottom, at.x(), plotBottom+18, looks)
	}
	for found := leastFound; found <= 100; found += 2 {
		at := plotted{found: float64(found)}
		fmt.Fprintf(&s, `<path d="M%d %.1f H%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%d</text>`+"\n", plotLeft, at.y(), plotWidth-24, plotLeft-8, at.y()+4, found)
	}
	fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="middle">looks, %% of the grid's</text>`+"\n", (plotLeft+plotWidth)/2, plotBottom+38)
	fmt.Fprintf(&s, `<text transform="translate(14 %d) rotate(-90)" text-anchor="middle">found, %% of what the grid's tracks find</text>`+"\n", (plotTop+plotBottom)/2)
	fmt.Fprintf(&s, `<text x="%d" y="%d" text-anchor="end">at each dot: the budget, in tiles a frame</text>`+"\n", plotWidth-32, plotBottom-8)
	s.WriteString(`<polyline fill="none" stroke="#0a6" stroke-width="2" points="`)
	for _, r := range runs {
		fmt.Fprintf(&s, "%.1f,%.1f ", r.x(), r.y())
	}
	s.WriteString(`"/>` + "\n")
	for _, r := range runs {
		fmt.Fprintf(&s, `<circle cx="%.1f" cy="%.1f" r="4" fill="#0a6"/><text x="%.1f" y="%.1f">%s</text>`+"\n", r.x(), r.y(), r.x()+6, r.y()+16, r.name)
	}
	s.WriteString("</svg>\n")
	if err := os.WriteFile(file, []byte(s.String()), 0o600); err != nil {
		b.Fatal(err)
	}
}
