package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sightline/sightline/ingest/testcam"
)

func newTestcam() *cobra.Command {
	var listen string
	cmd := &cobra.Command{
		Use:     "testcam [--listen ADDRESS] FILE",
		Short:   "Serve a video file by RTSP like a camera, for trials",
		Long:    "Serve a video file (H.264 or H.265) by RTSP like a camera, again and again, to any number of readers.",
		Example: "  sightline testcam clip.mp4\n  sightline run rtsp://127.0.0.1:8554/test",
		Args:    usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			fmt.Fprintf(cmd.ErrOrStderr(), "test camera at rtsp://%s/test\n", listen)
			return testcam.Serve(cmd.Context(), listen, args[0], testcam.Options{})
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8554", "`ADDRESS` of the RTSP server")
	return cmd
}
