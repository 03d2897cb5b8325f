package catalogue

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// TestCatalogueIsSound: every entry says all, and no sum without what it is the sum of.
func TestCatalogueIsSound(t *testing.T) {
	all, err := Entries()
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	names, sums := map[string]bool{}, map[string]bool{}
	for _, e := range all {
		if e.Name == "" || names[e.Name] || sums[e.SHA256] || len(e.SHA256) != 64 || strings.Trim(e.SHA256, "0123456789abcdef") != "" {
			t.Errorf("%+v", e)
		}
		names[e.Name], sums[e.SHA256] = true, true
		if filepath.Base(e.File) != e.File || !strings.HasSuffix(e.File, ".onnx") || e.Bytes <= 0 || e.Licence == "" || e.Classes <= 0 || e.AP <= 0 || e.AP >= 1 {
			t.Errorf("%+v", e)
		}
		if _, err := onnxgraph.ParseSize(e.Input); err != nil || e.Family != string(models.YOLOX) {
			t.Errorf("%s: %v", e.Name, err)
		}
		if (e.SumOf == "release") != (e.URL != "") || e.SumOf != "release" && e.SumOf != "copy" {
			t.Errorf("%s: a sum of %q with the address %q", e.Name, e.SumOf, e.URL)
		}
		for _, address := range []string{e.Page, e.URL} {
			if u, err := url.Parse(address); err != nil || address != "" && u.Scheme != "https" {
				t.Errorf("%s: address %q, %v", e.Name, address, err)
			}
		}
	}
	if _, err := Find("yolo-nine"); err == nil || !strings.Contains(err.Error(), `"yolo-nine"`) || !strings.Contains(err.Error(), all[0].Name) {
		t.Error(err)
	}
}

// TestCopyIsWhatTheCatalogueSays: the file that the shipped models are made of.
func TestCopyIsWhatTheCatalogueSays(t *testing.T) {
	folder := filepath.Join("..", "..", "..", "shared", "data", "models")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("shared/data is not here: ", err)
	}
	e, err := Find("yolox-nano-opset11")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path, err := Pull(t.Context(), e, PullOptions{From: folder, To: dir})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := models.Load(path)
	if err != nil || spec.Licence != "Apache-2.0" || spec.Origin.URL != e.Page || len(spec.Labels) != e.Classes || spec.Family != models.YOLOX {
		t.Errorf("%+v, %v", spec, err)
	}
	shipped, err := models.Load(filepath.Join("..", "..", "models", "yolox-nano-int8.onnx"))
	if err != nil || shipped.Origin.SHA256 != e.SHA256 {
		t.Errorf("the shipped model is made of %s, %v", shipped.Origin.SHA256, err)
	}
	if _, err := Pull(t.Context(), e, PullOptions{To: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "--from") {
		t.Errorf("without a source: %v", err)
	}
}
