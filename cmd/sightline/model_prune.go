package main

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/bundle"
	"github.com/sightline/sightline/tools/calibrate"
	"github.com/sightline/sightline/tools/compress"
	"github.com/sightline/sightline/tools/onnxgraph"
	"github.com/sightline/sightline/tools/prune"
)

// pruneFlags are the flags of `sightline model prune`.
type pruneFlags struct {
	method, calib, repair, scope, importance string
	origin                                   originFlags
	input                                    sizeFlag
	data                                     string
	sweep                                    []float64
	pictures, round, passes                  int
	amount                                   float64
	json                                     bool
}

// The methods of pruning.
const (
	unstructured = "unstructured"
	channelwise  = "channel"
)

func newPrune() *cobra.Command {
	var f pruneFlags
	cmd := &cobra.Command{
		Use:   "prune --method M --amount A [--calib DIR] IN.onnx OUT.onnx",
		Short: "Leave out what matters least: channels, or single weights",
		Long: `Leave out what matters least, and let what is left make up for it.

With --method channel, whole channels are cut out and the network computes less; --amount is the share of its multiply-adds. Which channels
go is found on the pictures of --calib, without labels, by what becomes of the detections.
With --method unstructured, the weights of least magnitude (L1) become zero; --amount is the share of the weights of all convolutions. The
compressed file shrinks; the time on onnxruntime does not change.
Either way the remaining weights are moved, by what the network makes of the pictures, so that every layer gives nearly what it gave.`,
		Example: `  sightline model prune --method channel --amount 0.1 --calib pictures/ yolox_nano.onnx narrow.onnx
  sightline model prune --method unstructured --amount 0.3 --calib pictures/ yolox_nano.onnx sparse.onnx
  sightline model prune --method unstructured --sweep 0.1,0.3,0.5 --calib pictures/ --data coco-dev yolox_nano.onnx`,
		Args: usage(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error { return f.start(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.method, "method", unstructured, "unstructured or channel")
	flags.Float64Var(&f.amount, "amount", 0.3, "`SHARE` of the weights that become zero, or of the multiply-adds that are saved")
	flags.Float64SliceVar(&f.sweep, "sweep", nil, "unstructured: try these `SHARES`, such as 0.1,0.3,0.5, on --data, and write no model")
	flags.StringVar(&f.data, "data", "", "`DIR` with images/ and instances.json in COCO form, for --sweep")
	flags.StringVar(&f.scope, "scope", "global", "unstructured: global, or layer: the same share in every layer")
	flags.StringVar(&f.importance, "importance", "", "l1 (magnitude), data (what it adds on the pictures), and for channel obs (what is lost when the others make up for it) (default: l1, for channel obs)")
	flags.IntVar(&f.round, "round", 0, "channel: widths become multiples of `N`, 1 for any (default: 16, and 8 for narrow groups)")
	flags.StringVar(&f.calib, "calib", "", "`DIR` with pictures of what the cameras see")
	flags.IntVar(&f.pictures, "pictures", 64, "at most `N` of them")
	flags.StringVar(&f.repair, "repair", "", "ls, none, and for channel also mix or tune (default: ls with --calib)")
	flags.IntVar(&f.passes, "passes", 20, "--repair tune: goes `N` times over the pictures")
	f.input.add(flags)
	f.origin.add(flags)
	flags.BoolVar(&f.json, "json", false, "print the report as JSON")
	return cmd
}

func (f pruneFlags) check(in, out string) error {
	repairs := []string{"", prune.RepairLS, prune.RepairNone}
	if f.method == channelwise {
		repairs = append(repairs, prune.RepairMix, prune.RepairTune)
	}
	switch {
	case f.method != unstructured && f.method != channelwise:
		return fmt.Errorf("--method %.40q: must be unstructured or channel", f.method)
	case f.scope != "global" && f.scope != "layer":
		return fmt.Errorf("--scope %.40q: must be global or layer", f.scope)
	case !slices.Contains(repairs, f.repair):
		return fmt.Errorf("--repair %.40q: must be %s", f.repair, strings.Join(repairs[1:], " or "))
	case !slices.Contains([]string{"", prune.OBS, prune.Data, prune.L1}, f.importance):
		return fmt.Errorf("--importance %.40q: must be obs, data or l1", f.importance)
	case f.method == unstructured && f.importance == prune.OBS:
		return errors.New("--importance obs is for --method channel: must be l1 or data")
	case f.method == unstructured && f.importance == prune.Data && f.calib == "":
		return errors.New("--importance data needs pictures: name a folder with --calib")
	case f.passes < 1:
		return fmt.Errorf("--passes %d: must be 1 or more", f.passes)
	case f.round < 0:
		return fmt.Errorf("--round %d: must be 1 or more", f.round)
	case f.method == channelwise && f.calib == "":
		return errors.New("--method channel needs pictures: name a folder with --calib")
	case f.repair == prune.RepairLS && f.calib == "":
		return errors.New("--repair ls needs pictures: name a folder with --calib")
	case !(f.amount >= 0 && f.amount < 1):
		return fmt.Errorf("--amount %g: must be 0 to below 1", f.amount)
	}
	return bundle.CheckOut(in, out)
}

// start tells a sweep, which writes no model, from a single run.
func (f pruneFlags) start(cmd *cobra.Command, args []string) error {
	if len(f.sweep) == 0 {
		if len(args) != 2 {
			return wrongUse{errors.New("two models are needed: IN.onnx and OUT.onnx")}
		}
		return f.run(cmd, args[0], args[1])
	}
	if err := f.check("", "none.onnx"); err != nil {
		return wrongUse{err}
	}
	switch {
	case f.method != unstructured:
		return wrongUse{errors.New("--sweep is for --method unstructured")}
	case f.data == "":
		return wrongUse{errors.New("--sweep needs --data: a folder in COCO form to measure on")}
	case len(args) != 1:
		return wrongUse{errors.New("--sweep writes no model: name IN.onnx alone")}
	}
	for _, amount := range f.sweep {
		if !(amount >= 0 && amount < 1) {
			return wrongUse{fmt.Errorf("--sweep %g: must be 0 to below 1", amount)}
		}
	}
	return f.runSweep(cmd, args[0])
}

func (f pruneFlags) run(cmd *cobra.Command, in, out string) error {
	if err := f.check(in, out); err != nil {
		return wrongUse{err}
	}
	original, err := bundle.Open(in, f.input.Size)
	if err != nil {
		return err
	}
	set, err := f.open(cmd, original.Spec)
	if err != nil {
		return err
	}
	pruned, report, err := f.prune(cmd, original.Model, original.Head, set)
	if err != nil {
		return fmt.Errorf("%s: %w", in, err)
	}
	card := original.Card(f.origin.url, f.origin.licence, f.command(in, out))
	card.Report = map[string]any{"pruned": report}
	warnBarriers(cmd, original.Barriers, card.Report)
	if err := bundle.Write(out, pruned, card); err != nil {
		return err
	}
	return f.print(cmd, report, in, out)
}

// open gives the pictures, nil where none are needed.
func (f pruneFlags) open(cmd *cobra.Command, spec models.Spec) (*calibrate.Set, error) {
	if f.calib == "" || f.method == unstructured && f.repair == prune.RepairNone && f.importance != prune.Data {
		return nil, nil
	}
	return compress.OpenPictures(cmd.Context(), f.calib, spec, f.pictures, warner(cmd))
}

// prune gives the new network and its report, prune.Report or prune.ChannelReport.
func (f pruneFlags) prune(cmd *cobra.Command, m *graph.Model, head *onnxgraph.Head, set *calibrate.Set) (*graph.Model, any, error) {
	show := newProgress(cmd.ErrOrStderr()).show
	if f.method == unstructured {
		return prune.Unstructured(cmd.Context(), m, prune.UnstructuredOptions{Amount: f.amount, PerLayer: f.scope == "layer", Importance: f.score(), NoRepair: f.repair == prune.RepairNone, Calibration: set, Progress: show})
	}
	return prune.Channel(cmd.Context(), m, prune.ChannelOptions{
		Amount: f.amount, Round: f.round, Importance: f.importance, Repair: f.repair, Passes: f.passes, Head: head, Calibration: set, Progress: show,
	})
}

// score is how single weights are told from each other.
func (f pruneFlags) score() string {
	if f.importance == "" {
		return prune.L1
	}
	return f.importance
}

// command is what makes the same file again, without the places where files lay.
func (f pruneFlags) command(in, out string) string {
	text := fmt.Sprintf("sightline model prune --method %s --amount %g", f.method, f.amount)
	if f.method == unstructured {
		text += " --scope " + f.scope
	} else if f.round > 0 {
		text += fmt.Sprintf(" --round %d", f.round)
	}
	if f.importance != "" {
		text += " --importance " + f.importance
	}
	if f.repair != "" {
		text += " --repair " + f.repair
	}
	if f.repair == prune.RepairTune {
		text += fmt.Sprintf(" --passes %d", f.passes)
	}
	if f.calib != "" && f.repair != prune.RepairNone || f.method == channelwise {
		text += fmt.Sprintf(" --calib %s --pictures %d", filepath.Base(f.calib), f.pictures)
	}
	return strings.Join(append([]string{text}, append(f.input.words(), filepath.Base(in), filepath.Base(out))...), " ")
}

func (f pruneFlags) print(cmd *cobra.Command, report any, in, out string) error {
	before, err := compressed(in)
	if err != nil {
		return err
	}
	after, err := compressed(out)
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	if f.json {
		return json.NewEncoder(w).Encode(map[string]any{"pruned": report, "gzip_bytes": after, "gzip_bytes_before": before})
	}
	fmt.Fprintln(w, out)
	switch r := report.(type) {
	case prune.Report:
		fmt.Fprintf(w, "  %d of %d weights are zero, repaired: %v\n", r.Zeros, r.Weights, r.Repaired)
		printSparsity(w, r.Layers)
		fmt.Fprintf(w, "  compressed %d KiB instead of %d; the time on onnxruntime is the same\n", after>>10, before>>10)
	case prune.ChannelReport:
		printChannels(w, r)
		fmt.Fprintf(w, "  compressed %d KiB instead of %d\n", after>>10, before>>10)
	}
	return nil
}

// printSparsity sums up how much of each layer is zero.
func printSparsity(w io.Writer, layers []prune.Layer) {
	if len(layers) == 0 {
		return
	}
	sorted := slices.SortedStableFunc(slices.Values(layers), func(a, b prune.Layer) int { return cmp.Compare(a.Sparsity, b.Sparsity) })
	least, middle, most := sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1]
	fmt.Fprintf(w, "  layers from %.1f %% (%.40s) over %.1f %% (median) to %.1f %% (%.40s)\n",
		100*least.Sparsity, least.Name, 100*middle.Sparsity, 100*most.Sparsity, most.Name)
}

// printChannels tells which groups became narrower, what that saves and what it costs.
func printChannels(w io.Writer, r prune.ChannelReport) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "  group\twidth\tafter\terror alone")
	for _, g := range r.Groups {
		if g.After < g.Before {
			fmt.Fprintf(table, "  %.40s\t%d\t%d\t%.4f\n", g.Name, g.Before, g.After, g.Errors[slices.Index(g.Levels, g.After)])
		}
	}
	table.Flush() //nolint:errcheck // the writer below tells
	for _, b := range r.Barriers {
		fmt.Fprintf(w, "  %d channels stay at %s %.60s\n", b.Channels, b.Op, b.Tensor)
	}
	saved := 100 * float64(r.MACsBefore-r.MACs) / float64(max(1, r.MACsBefore))
	fmt.Fprintf(w, "  %.1f of %.1f million multiply-adds, %.1f %% saved\n", float64(r.MACs)/1e6, float64(r.MACsBefore)/1e6, saved)
	fmt.Fprintf(w, "  error of the detections %.4f as cut, %.4f repaired (%s)\n", r.ErrorCut, r.Error, r.Repair)
	if r.NotTuned != "" {
		fmt.Fprintf(w, "  not tuned: %.200s\n", r.NotTuned)
	}
}

// compressed is the size of a file in gzip.
func compressed(path string) (int, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(data); err != nil {
		return 0, err
	}
	return b.Len(), z.Close()
}
