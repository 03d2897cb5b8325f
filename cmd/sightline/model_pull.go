package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/tools/catalogue"
)

func newPull() *cobra.Command {
	var from, to string
	cmd := &cobra.Command{
		Use:   "pull NAME [--from FILE|DIR|URL] [--to DIR]",
		Short: "Fetch an original of the catalogue, checked by its sha256",
		Long: `Fetch an original of the catalogue (see ` + "`sightline model list`" + `), checked by its sha256, with a card that says from where it is and under
which licence. An interrupted pull goes on where it was when the command is given again. Where there is no network, --from takes the
file from a disk or from a mirror; an address that ends in / is a folder.`,
		Example: "  sightline model pull yolox-nano\n  sightline model pull yolox-s --from /media/usb/ --to models",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			entry, err := catalogue.Find(args[0])
			if err != nil {
				return wrongUse{err}
			}
			progress := newProgress(cmd.ErrOrStderr())
			path, err := catalogue.Pull(cmd.Context(), entry, catalogue.PullOptions{From: from, To: to, Progress: func(done, total int64) {
				progress.show("KiB of "+entry.File, int(done>>10), int(total>>10))
			}})
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n  sha256 %s\n  licence %s, %s\n", path, entry.SHA256, entry.Licence, entry.Page)
			return err
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "`SOURCE` in place of the catalogue's address: a file, a folder, or the address of a mirror")
	cmd.Flags().StringVar(&to, "to", "models", "`DIR` to put it into")
	return cmd
}
