package main

import (
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// newHealth lets a container check itself without a shell or curl.
func newHealth() *cobra.Command {
	return &cobra.Command{
		Use:   "health URL",
		Short: "Ask a running process whether it is ready, for container health checks",
		Args:  usage(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			req, err := http.NewRequestWithContext(cmd.Context(), http.MethodGet, args[0], nil)
			if err != nil {
				return wrongUse{err}
			}
			client := http.Client{Timeout: 3 * time.Second}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %s", args[0], res.Status)
			}
			return nil
		},
	}
}
