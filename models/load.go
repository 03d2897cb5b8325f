package models

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxFileBytes bounds a model file; networks for detection stay far below it.
const maxFileBytes = 1 << 30

// Load reads the model at path with the card beside it, if there is one, and checks all of it. Nothing outside the model's
// folder is opened. Every error names the file, what was found, the rule and the remedy.
func Load(path string) (Spec, error) {
	spec, err := load(path)
	if err != nil {
		return Spec{}, fmt.Errorf("load model %s: %w", path, err)
	}
	return spec, nil
}

func load(path string) (Spec, error) {
	real, err := inFolder(path)
	if err != nil {
		return Spec{}, err
	}
	data, err := readLimited(real, maxFileBytes)
	if err != nil {
		return Spec{}, err
	}
	sum := sha256.Sum256(data)
	spec := Spec{
		Name: strings.TrimSuffix(filepath.Base(path), ".onnx"), Path: real, SHA256: hex.EncodeToString(sum[:]),
		Int8: bytes.Contains(data, []byte("QuantizeLinear")), // DynamicQuantizeLinear too
	}
	// The card comes first: a truncated file is best told by its sum.
	card, err := cardBeside(path, spec.SHA256)
	if err != nil {
		return Spec{}, err
	}
	file, err := parseONNX(data)
	if err != nil {
		return Spec{}, fileFault(err, len(data))
	}
	for _, x := range file.external {
		if err := x.check(filepath.Dir(real)); err != nil {
			return Spec{}, err
		}
	}
	return spec, spec.describe(file, card)
}

func fileFault(err error, size int) error {
	if size == 0 {
		return errors.New("the file is empty: fetch or export it again")
	}
	if errors.Is(err, errTruncated) {
		return fmt.Errorf("the file is truncated or no ONNX model (%d bytes; %w): fetch or export it again", size, err)
	}
	return fmt.Errorf("the file is no sound ONNX model (%w): name an .onnx file, exported again if it is one", err)
}

// inFolder gives the real path of a file and refuses one that a symbolic link takes out of the folder that it was named in.
func inFolder(path string) (string, error) {
	// Absolute first: a link may name its neighbour by an absolute path.
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fileError(err)
	}
	folder, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fileError(err)
	}
	if rel, err := filepath.Rel(folder, real); err != nil || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is a symbolic link that leads out of its folder, to %s: files of a model must lie in one folder; name the file itself",
			filepath.Base(path), real)
	}
	return real, nil
}

// fileError says what is wrong in the reader's words; the path stands before it.
func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no such file: give the path of an .onnx file (%w)", fs.ErrNotExist)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("the file may not be read: give this user the right to (%w)", fs.ErrPermission)
	}
	return err
}

func readLimited(path string, limit int64) ([]byte, error) {
	// A pipe or a device would block or never end: ask before opening.
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no file: give the path of an .onnx file")
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s has %d bytes: must be at most %d; name another file", filepath.Base(path), info.Size(), limit)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError(err)
	}
	defer f.Close()
	data := make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return data, nil
}

// cardBeside reads the card of a model and holds the sum in it against the file's; nil where there is no card.
func cardBeside(model, sum string) (*Card, error) {
	path := strings.TrimSuffix(model, ".onnx") + ".yaml"
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no card is a plain answer
	}
	name := filepath.Base(path)
	real, err := inFolder(path)
	if err != nil {
		return nil, fmt.Errorf("its card: %w", err)
	}
	data, err := readLimited(real, maxCardBytes)
	if err != nil {
		return nil, fmt.Errorf("its card %s: %w", name, err)
	}
	card, err := parseCard(data, false)
	if err != nil {
		return nil, fmt.Errorf("its card %s: %w", name, err)
	}
	if card.SHA256 != sum {
		return nil, fmt.Errorf("the file has sha256 %s and its card %s says %s: they must be equal; fetch both again, or remove the card",
			sum, name, card.SHA256)
	}
	return &card, nil
}

// ReadCard gives the card of a model, the one beside it or the one that it carries; nil where there is none. It checks the card, not
// the model: see Load.
func ReadCard(path string) (*Card, error) {
	card, err := readCard(path)
	if err != nil {
		return nil, fmt.Errorf("read card of %s: %w", path, err)
	}
	return card, nil
}

func readCard(path string) (*Card, error) {
	real, err := inFolder(path)
	if err != nil {
		return nil, err
	}
	data, err := readLimited(real, maxFileBytes)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	card, err := cardBeside(path, hex.EncodeToString(sum[:]))
	if card != nil || err != nil {
		return card, err
	}
	file, err := parseONNX(data)
	if err != nil {
		return nil, fileFault(err, len(data))
	}
	return cardInside(file)
}

// check refuses numbers that lie outside the model's folder: onnxruntime would read whatever file is named there.
func (x external) check(folder string) error {
	rule := func(found string) error {
		return fmt.Errorf("tensor %.60q lies in the external file %.200q, %s: external files must lie in the model's folder; export the model as one file",
			x.tensor, x.location, found)
	}
	if !filepath.IsLocal(x.location) {
		return rule("which is outside the model's folder")
	}
	path := filepath.Join(folder, x.location)
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return rule("which is not there")
	}
	if rel, err := filepath.Rel(folder, real); err != nil || !filepath.IsLocal(rel) {
		return rule("a symbolic link that leads out of the model's folder")
	}
	info, err := os.Stat(real)
	if err != nil || !info.Mode().IsRegular() {
		return rule("which is no file")
	}
	offset, length, err := x.extent()
	if err != nil {
		return rule(err.Error())
	}
	if offset > info.Size() || length > info.Size()-offset {
		return rule(fmt.Sprintf("which has %d bytes, fewer than it takes", info.Size()))
	}
	return nil
}

func (x external) extent() (offset, length int64, err error) {
	for _, v := range []struct {
		text string
		to   *int64
	}{{x.offset, &offset}, {x.length, &length}} {
		if v.text == "" {
			continue
		}
		n, err := strconv.ParseInt(v.text, 10, 64)
		if err != nil || n < 0 {
			return 0, 0, fmt.Errorf("with the place %.40q", v.text)
		}
		*v.to = n
	}
	return offset, length, nil
}
