package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// annotated is a folder in COCO form with one picture.
func annotated(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(photo(t, "a.jpg"), filepath.Join(dir, "images", "a.jpg")); err != nil {
		t.Fatal(err)
	}
	marked := `{"images":[{"id":1,"file_name":"a.jpg","width":640,"height":360}],"categories":[{"id":1,"name":"red"}],
		"annotations":[{"image_id":1,"category_id":1,"bbox":[10,10,50,50],"area":2500,"iscrowd":0}]}`
	if err := os.WriteFile(filepath.Join(dir, "instances.json"), []byte(marked), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestEvalWritesTableClassesPageAndJSON: every form tells of the same models.
func TestEvalWritesTableClassesPageAndJSON(t *testing.T) {
	dir, page := annotated(t), filepath.Join(t.TempDir(), "report.html")
	code, out, stderr := finish(t, "model", "eval", "--data", dir, "--classes", "--html", page, tiny(t), tiny(t))
	if code != exitDone {
		t.Fatalf("exit code %d: %s%s", code, out, stderr)
	}
	for _, want := range []string{"tiny (2)", "AP50", "gzip KiB", "faster by", "red"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	html, err := os.ReadFile(page)
	if err != nil || !strings.Contains(string(html), "<svg") || !strings.Contains(string(html), "tiny (2)") || strings.Contains(string(html), "src=\"http") {
		t.Errorf("page of %d bytes: %v", len(html), err)
	}
	code, out, stderr = finish(t, "model", "eval", "--json", "--data", dir, tiny(t))
	var report struct {
		Models []struct {
			Bytes int `json:"bytes"`
		} `json:"models"`
	}
	if err := json.Unmarshal([]byte(out), &report); code != exitDone || err != nil || len(report.Models) != 1 || report.Models[0].Bytes == 0 {
		t.Errorf("exit code %d, %v: %s%s", code, err, out, stderr)
	}
}
