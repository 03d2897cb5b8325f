// Package calibrate reads the pictures that show a network what it will see, prepared exactly as a detector prepares them.
package calibrate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/pipeline/picture"
)

// Few is the number of pictures below which ranges are guesses.
const Few = 32

// Set is a folder of pictures. It belongs to one goroutine; pictures are read as they are asked for, one at a time.
type Set struct {
	files     []string
	width     int
	height    int
	letterbox *picture.Letterboxer
	input     []float32
}

// Open lists the pictures of a folder, or of its folder images, by name; of more than limit it takes some at even distances. Every
// other kind of file is passed over.
func Open(dir string, spec models.Spec, limit int) (*Set, error) {
	files, err := pictures(dir)
	if err != nil {
		return nil, fmt.Errorf("open calibration pictures: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("open calibration pictures: there is no JPEG, PNG or GIF in %s; name a folder with some hundred pictures of what the cameras see", dir)
	}
	if limit > 0 && len(files) > limit {
		some := make([]string, limit)
		for i := range some {
			some[i] = files[i*len(files)/limit]
		}
		files = some
	}
	l := spec.Layout
	return &Set{
		files: files, width: spec.Width, height: spec.Height, input: make([]float32, 3*spec.Width*spec.Height),
		letterbox: picture.NewLetterboxer(picture.Layout{RGB: l.RGB, Scale: l.Scale, Centre: l.Centre, Fill: l.Fill}),
	}, nil
}

func pictures(dir string) ([]string, error) {
	if info, err := os.Stat(filepath.Join(dir, "images")); err == nil && info.IsDir() {
		dir = filepath.Join(dir, "images")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		switch strings.ToLower(filepath.Ext(e.Name())) {
		case ".jpg", ".jpeg", ".png", ".gif":
			if e.Type().IsRegular() || e.Type()&os.ModeSymlink != 0 {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	slices.Sort(files)
	return files, nil
}

// Len is the number of pictures.
func (s *Set) Len() int { return len(s.files) }

// First gives a set of the first n pictures at even distances. Both sets share buffers: use one at a time.
func (s *Set) First(n int) *Set {
	if n >= len(s.files) {
		return s
	}
	few := *s
	few.files = make([]string, n)
	for i := range few.files {
		few.files[i] = s.files[i*len(s.files)/n]
	}
	return &few
}

// Without gives a set of the pictures that another one does not have. Both sets share buffers: use one at a time.
func (s *Set) Without(other *Set) *Set {
	rest := *s
	rest.files = slices.DeleteFunc(slices.Clone(s.files), func(file string) bool { return slices.Contains(other.files, file) })
	return &rest
}

// Each calls fn with every picture as the network takes it, [3, height, width]; input is valid until fn returns.
func (s *Set) Each(ctx context.Context, fn func(i int, input []float32) error) error {
	for i, file := range s.files {
		if err := ctx.Err(); err != nil {
			return err
		}
		pic, err := picture.DecodeFile(file)
		if err != nil {
			return fmt.Errorf("calibrate: %w", err)
		}
		whole := picture.Rect{W: pic.Width, H: pic.Height}
		if _, err := s.letterbox.Fill(s.input, s.width, s.height, pic, whole); err != nil {
			return fmt.Errorf("calibrate: prepare %s: %w", file, err)
		}
		if err := fn(i, s.input); err != nil {
			return err
		}
	}
	return nil
}

// Hash is the SHA-256 of all pictures, so that a report says what a network was calibrated with.
func (s *Set) Hash() (string, error) {
	sum := sha256.New()
	for _, file := range s.files {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("hash calibration pictures: %w", err)
		}
		_, err = io.Copy(sum, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("hash calibration pictures: %w", err)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// flatColours is how many different values a picture of one colour has at most: a colour and a border, each in three planes.
const flatColours = 6

// CheckVaried refuses pictures that show nothing: what is learnt from them is wrong of everything else.
func (s *Set) CheckVaried(ctx context.Context) error {
	varied := false
	err := s.Each(ctx, func(_ int, input []float32) error {
		seen := map[float32]bool{}
		for i := 0; i < len(input) && len(seen) <= flatColours; i++ {
			seen[input[i]] = true
		}
		varied = varied || len(seen) > flatColours
		return nil
	})
	if err == nil && !varied {
		err = errors.New("the calibration pictures are all of one colour; name a folder with pictures of what the cameras see")
	}
	return err
}
