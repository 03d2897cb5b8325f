package capacity

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/sightline/sightline/detect"
)

// Write prints the report for people.
func (r Report) Write(to io.Writer) error {
	var text strings.Builder
	processor := r.Processor
	if processor == "" {
		processor = "processor unknown"
	}
	network := r.network()
	inferring, chosen := "infer with all processors at work", " (workers: auto, the default, takes them where they are clearly faster than one session a processor)"
	if network.elsewhere {
		inferring, chosen = "infer on "+r.Device+" with all its sessions at work", ""
	}
	fmt.Fprintf(&text, "%s, %d processors; %s, input %s, on %s\n\n", processor, r.Processors, r.Model, r.Input, r.Device)
	table(&text, "sessions\tthreads\tbatch\tlooks/s\t", len(r.Layouts), func(w io.Writer, i int) {
		l := r.Layouts[i]
		fmt.Fprintf(w, "%d\t%d\t%d\t%.1f\t\n", l.Workers, l.Threads, l.MaxBatch, l.Rate)
	})
	fmt.Fprintf(&text, "\nMilliseconds of one thread for a frame; prepare and infer for one look, %s:\n\n", inferring)
	table(&text, "video\tsize\tdecode\tmotion\tprepare\tinfer\tmerge\tannotated video\t", len(r.Videos), func(w io.Writer, i int) {
		v := r.Videos[i]
		fmt.Fprintf(w, "%s\t%dx%d\t%.1f\t%.2f\t%.2f\t%.1f\t%.2f\t%.1f\t\n", v.Name, v.Width, v.Height, v.Decode, v.Plan, v.Prepare, network.infer, v.Merge, v.Picture)
	})
	fmt.Fprintf(&text, "\nCameras that fill %.0f %% of what computes, by frames a second. adaptive: where nothing moves, and with all its budget:\n\n", 100*Load)
	head := "size\ttiles\tlooks\tms\tframes/s\t"
	for _, rate := range Rates {
		head += fmt.Sprintf("at %d\t", rate)
	}
	table(&text, head, len(r.Videos), func(w io.Writer, i int) { r.Videos[i].writeFits(w) })
	if len(r.Layouts) > 0 {
		fmt.Fprintf(&text, "\nBest settings: %s%s\n", settings(r.Layouts[0]), chosen)
	}
	_, err := io.WriteString(to, text.String())
	return err
}

func (v Video) writeFits(w io.Writer) {
	for _, f := range v.Fits {
		fmt.Fprintf(w, "%dx%d\t%s\t%d\t%.1f\t%.1f\t", v.Width, v.Height, f.Policy, f.Looks, f.Cost, f.Fastest)
		for _, n := range f.Cameras {
			fmt.Fprintf(w, "%d\t", n)
		}
		fmt.Fprintln(w)
	}
}

func settings(l detect.Layout) string {
	if l.Threads == 1 {
		return fmt.Sprintf("detectors: {default: {workers: %d, max_batch_size: %d}}", l.Workers, l.MaxBatch)
	}
	return "detectors: {default: {workers: auto}}"
}

func table(to io.Writer, head string, rows int, row func(w io.Writer, i int)) {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, head)
	for i := range rows {
		row(w, i)
	}
	w.Flush() //nolint:errcheck // into memory
}
