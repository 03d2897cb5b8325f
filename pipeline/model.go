package pipeline

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// defaultModels are the shipped bundles, the best first.
var defaultModels = []string{"yolox-nano-int8.onnx"}

// DefaultModel gives the path of the model that is used where none is named.
func DefaultModel() (string, error) { return findModel("") }

// findModel gives the path of the model to use: the one that was named, else the best shipped one.
func findModel(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	var tried []string
	for _, dir := range ModelFolders() {
		for _, name := range defaultModels {
			path := filepath.Join(dir, name)
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
			tried = append(tried, path)
		}
	}
	return "", fmt.Errorf("no model: none was named and no shipped one was found (tried %s); name one with --model FILE or detectors.default.model",
		strings.Join(tried, ", "))
}

// ModelFolders are the places where shipped models lie: beside the working directory, beside the program, and where a package
// puts them.
func ModelFolders() []string {
	folders := []string{"models"}
	if exe, err := os.Executable(); err == nil {
		folders = append(folders, filepath.Join(filepath.Dir(exe), "..", "models"))
	}
	return append(folders, filepath.Join(string(filepath.Separator), "usr", "share", "sightline", "models"))
}
