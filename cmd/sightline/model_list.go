package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline"
	"github.com/sightline/sightline/tools/catalogue"
	"github.com/sightline/sightline/tools/inspect"
)

// listed is a model file that was found.
type listed struct {
	Name     string            `json:"name"`
	File     string            `json:"file"`
	Default  bool              `json:"default"` // it is used where none is named
	Family   models.Family     `json:"family,omitempty"`
	Width    int               `json:"width,omitempty"`
	Height   int               `json:"height,omitempty"`
	Classes  int               `json:"classes,omitempty"`
	Bytes    int64             `json:"bytes"`
	Licence  string            `json:"licence,omitempty"`
	SHA256   string            `json:"sha256,omitempty"`
	Measured *inspect.Measured `json:"measured,omitempty"`
	Error    string            `json:"error,omitempty"` // why no detector takes it
}

func newList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the models that are here, and originals that can be fetched",
		Long: `List the models that are here, and originals that can be fetched.

Here is where ` + "`sightline run`" + ` looks for its model: models/ in the working directory, beside the program, and where a package puts it.`,
		Args: usage(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			originals, err := catalogue.Entries()
			if err != nil {
				return err
			}
			here := modelsHere()
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{"models": here, "originals": originals})
			}
			return printList(cmd.OutOrStdout(), here, originals)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// modelsHere lists every model of every folder once, in the order in which they are looked through.
func modelsHere() []listed {
	all := []listed{}
	seen := map[string]bool{}
	best, _ := pipeline.DefaultModel() // there may be none
	for _, folder := range pipeline.ModelFolders() {
		files, _ := filepath.Glob(filepath.Join(folder, "*.onnx")) // only a bad pattern is an error
		for _, file := range files {
			real, err := filepath.EvalSymlinks(file)
			if err == nil {
				real, err = filepath.Abs(real)
			}
			if err == nil && seen[real] {
				continue
			}
			seen[real] = true
			l := listFile(file)
			l.Default = file == best
			all = append(all, l)
		}
	}
	return all
}

func listFile(file string) listed {
	l := listed{Name: strings.TrimSuffix(filepath.Base(file), ".onnx"), File: file}
	if info, err := os.Stat(file); err == nil {
		l.Bytes = info.Size()
	}
	spec, err := models.Load(file)
	if err != nil {
		l.Error = err.Error()
		return l
	}
	l.Family, l.Width, l.Height, l.Classes, l.Licence, l.SHA256 = spec.Family, spec.Width, spec.Height, len(spec.Labels), spec.Licence, spec.SHA256
	if card, err := models.ReadCard(file); err == nil {
		l.Measured = inspect.MeasuredOf(card)
	}
	return l
}

func printList(to io.Writer, here []listed, originals []catalogue.Entry) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "MODEL\tFAMILY\tINPUT\tCLASSES\tKIB\tLICENCE\tAP\tFASTER BY\tFILE")
	for _, l := range here {
		name, ap, faster := l.Name, "", ""
		if l.Default {
			name += " (default)"
		}
		if m := l.Measured; m != nil {
			ap, faster = fmt.Sprintf("%.3f", m.AP), fmt.Sprintf("%.2f", m.FasterBy)
		}
		if l.Error != "" {
			fmt.Fprintf(w, "%s\tis refused: %s\n", name, strings.ReplaceAll(l.Error, "\n", "; "))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%dx%d\t%d\t%d\t%s\t%s\t%s\t%s\n", name, l.Family, l.Width, l.Height, l.Classes, l.Bytes>>10, l.Licence, ap, faster, l.File)
	}
	if len(here) == 0 {
		fmt.Fprintf(w, "none in %s\n", strings.Join(pipeline.ModelFolders(), ", "))
	}
	fmt.Fprintln(w, "\nORIGINAL\tFAMILY\tINPUT\tCLASSES\tKIB\tLICENCE\tAP\t\tFROM")
	for _, e := range originals {
		from := e.URL
		if from == "" {
			from = "--from only: no address is known that gives these bytes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%s\t%.3f\t\t%s\n", e.Name, e.Family, e.Input, e.Classes, e.Bytes>>10, e.Licence, e.AP, from)
	}
	fmt.Fprintln(w, "\nAP and speed of models: as their cards say, beside their originals; AP of originals: as their authors measured on COCO val2017.")
	return w.Flush()
}
