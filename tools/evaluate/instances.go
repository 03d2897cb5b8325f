// Package evaluate measures models on annotated pictures.
package evaluate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Limits of an annotation file.
const (
	maxInstancesBytes = 1 << 30
	maxImages         = 1 << 20
	maxCategories     = 1 << 14
)

// Instances is the part of a COCO annotation file that detection needs.
type Instances struct {
	Images      []Image      `json:"images"`
	Categories  []Category   `json:"categories"`
	Annotations []Annotation `json:"annotations"`
}

// Annotation is one object that a person marked.
type Annotation struct {
	ImageID    int64      `json:"image_id"`
	CategoryID int64      `json:"category_id"`
	Box        [4]float64 `json:"bbox"` // x, y, width, height
	Area       float64    `json:"area"` // of its outline, square pixels
	Crowd      int        `json:"iscrowd"`
}

// Image is one annotated picture.
type Image struct {
	ID       int64  `json:"id"`
	FileName string `json:"file_name"` // inside images/
	Width    int    `json:"width"`     // pixels
	Height   int    `json:"height"`
}

// Category is a class by COCO's numbering, which starts at 1 and has gaps.
type Category struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// ReadInstances reads the annotation file of a COCO folder. Errors name the file, the place and the rule.
func ReadInstances(path string) (Instances, error) {
	var in Instances
	info, err := os.Stat(path)
	if err != nil {
		return in, fmt.Errorf("read annotations: %w: the folder must hold images/ and instances.json in COCO form", err)
	}
	if info.Size() > maxInstancesBytes {
		return in, fmt.Errorf("read annotations %s: %d bytes: must be at most %d", path, info.Size(), maxInstancesBytes)
	}
	f, err := os.Open(path)
	if err != nil {
		return in, fmt.Errorf("read annotations: %w", err)
	}
	defer f.Close()
	if in, err = parseInstances(f); err != nil {
		return in, fmt.Errorf("read annotations %s: %w", path, err)
	}
	return in, nil
}

func parseInstances(r io.Reader) (Instances, error) {
	var in Instances
	d := json.NewDecoder(r)
	if err := d.Decode(&in); err != nil {
		return in, fmt.Errorf("must be COCO JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return in, errors.New("something follows the JSON document")
	}
	return in, in.validate()
}

func (in Instances) validate() error {
	if n := len(in.Images); n == 0 || n > maxImages {
		return fmt.Errorf("images: %d: must be 1 to %d", n, maxImages)
	}
	if n := len(in.Categories); n == 0 || n > maxCategories {
		return fmt.Errorf("categories: %d: must be 1 to %d", n, maxCategories)
	}
	seen := make(map[int64]bool, len(in.Images))
	for i, m := range in.Images {
		switch {
		case seen[m.ID]:
			return fmt.Errorf("images[%d]: id %d stands twice", i, m.ID)
		case !filepath.IsLocal(m.FileName):
			return fmt.Errorf("images[%d]: file_name %.100q: must lie inside images/", i, m.FileName)
		case m.Width < 1 || m.Height < 1:
			return fmt.Errorf("images[%d]: %dx%d: sides must be positive", i, m.Width, m.Height)
		}
		seen[m.ID] = true
	}
	return in.validateCategories()
}

func (in Instances) validateCategories() error {
	ids, names := map[int64]bool{}, map[string]bool{}
	for i, c := range in.Categories {
		if c.Name == "" || ids[c.ID] || names[c.Name] {
			return fmt.Errorf("categories[%d]: id %d and name %.60q: must be given, and only once", i, c.ID, c.Name)
		}
		ids[c.ID], names[c.Name] = true, true
	}
	return nil
}

// categories gives the category of every label; 0 and false where the data has none of that name.
func (in Instances) categories(labels []string) ([]Category, error) {
	byName := make(map[string]Category, len(in.Categories))
	for _, c := range in.Categories {
		byName[c.Name] = c
	}
	found := make([]Category, len(labels))
	known := false
	for i, label := range labels {
		c, ok := byName[label]
		found[i], known = c, known || ok
	}
	if !known {
		return nil, fmt.Errorf("no category has the name of a label of the model (%.60q…, %.60q…): names must be equal",
			in.Categories[0].Name, labels[0])
	}
	return found, nil
}
