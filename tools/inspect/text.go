package inspect

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/sightline/sightline/models"
)

// longest is how much of a text is shown that a stranger wrote.
const longest = 160

// Write writes the facts for a terminal.
func (f Facts) Write(to io.Writer) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	line("model", "%s", shown(f.ID))
	line("file", "%s", shown(f.File))
	line("sha256", "%s", f.SHA256)
	line("family", "%s, by its %s", f.Family, f.Source)
	line("input", "%dx%d, %s", f.Width, f.Height, f.layout())
	line("labels", "%d: %s", len(f.Labels), shown(strings.Join(f.Labels, ", ")))
	for i, g := range f.Head {
		name := "head"
		if i > 0 {
			name = ""
		}
		line(name, "stride %d, %dx%d cells, %s%s", g.Stride, g.Width, g.Height, anchors(g.Anchors), shown(strings.Join(g.Outputs, ", ")))
	}
	if len(f.Head) == 0 {
		line("head", "decoded by the network itself")
	}
	f.size(line)
	f.network(line)
	f.card(line)
	return w.Flush()
}

type liner func(name, format string, args ...any)

func (f Facts) layout() string {
	batch := "any batch"
	if f.Batch > 0 {
		batch = fmt.Sprintf("batch %d", f.Batch)
	}
	l := f.Layout
	return fmt.Sprintf("%s 0-%d, %s, fill %d, %s", strings.ToUpper(l.Channels), l.Range, strings.ReplaceAll(l.Place, "_", " "), l.Fill, batch)
}

func anchors(list [][2]float32) string {
	if len(list) == 0 {
		return ""
	}
	words := make([]string, len(list))
	for i, a := range list {
		words[i] = fmt.Sprintf("%gx%g", a[0], a[1])
	}
	return "anchors " + strings.Join(words, " ") + ", "
}

func (f Facts) size(line liner) {
	s := f.Size
	line("size", "%d bytes, %d in gzip", s.Bytes, s.Gzip)
	line("parameters", "%d, %.1f %% of the kernels' weights are zero", s.Parameters, 100*s.Sparsity)
	line("computes", "%.1f million multiply-adds, %.1f %% of them in int8", float64(s.MACs)/1e6, 100*s.Int8)
}

func (f Facts) network(line liner) {
	n := f.Network
	var opsets, operators []string
	for _, domain := range slices.Sorted(maps.Keys(n.Opsets)) {
		opsets = append(opsets, strings.TrimSpace(fmt.Sprintf("%s %d", shown(domain), n.Opsets[domain])))
	}
	for _, c := range n.Operators {
		operators = append(operators, fmt.Sprintf("%s %d", shown(c.Operator), c.Number))
	}
	line("onnx", "opset %s, IR %d, by %s", strings.Join(opsets, ", "), n.IRVersion, shown(n.Producer))
	line("operators", "%s", strings.Join(operators, ", "))
	for _, t := range n.Inputs {
		line("reads", "%s %v", shown(t.Name), t.Shape)
	}
	for _, t := range n.Outputs {
		if len(f.Head) == 0 { // else they stand above
			line("gives", "%s %v", shown(t.Name), t.Shape)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(n.Metadata)) {
		value := n.Metadata[key]
		if key == models.MetadataKey {
			value = "the card, for when the file travels alone"
		}
		line("metadata", "%s: %s", shown(key), shown(value))
	}
}

func (f Facts) card(line liner) {
	if f.Card == nil {
		line("card", "none")
		return
	}
	origin, _ := f.Card["origin"].(map[string]any) // of a card that was checked
	line("licence", "%s", shown(f.Licence))
	line("origin", "%s, sha256 %s", shown(fmt.Sprint(origin["url"])), shown(fmt.Sprint(origin["sha256"])))
	line("command", "%s", shown(fmt.Sprint(f.Card["command"])))
	if r, ok := f.Card["recipe"]; ok {
		line("recipe", "%s", shown(fmt.Sprint(r)))
	}
	if m := f.Measured; m != nil {
		line("measured", "AP %.4f on %s (original %.4f), %.2f times as fast", m.AP, shown(m.Data), m.Original, m.FasterBy)
	}
}

// shown makes text that a stranger wrote fit for a terminal: one short line, and nothing that a terminal obeys.
func shown(text string) string {
	runes := []rune(text)
	short := runes[:min(longest, len(runes))]
	for i, r := range short {
		switch {
		case r == '\n' || r == '\t':
			short[i] = ' '
		case !unicode.IsPrint(r):
			short[i] = unicode.ReplacementChar
		}
	}
	if len(runes) > longest {
		return string(short) + "…"
	}
	return string(short)
}
