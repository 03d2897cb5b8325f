// Package bundle puts a network and the card that describes it together.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/models/graph"
	"github.com/sightline/sightline/tools/onnxgraph"
)

// Card describes a network that was made from a model: what the original says, and the head where its tail was cut off.
func Card(spec models.Spec, head *onnxgraph.Head, origin models.CardOrigin, licence, command string) models.Card {
	fill, place, channels, top := spec.Layout.Fill, "top_left", "bgr", 255
	if spec.Layout.Centre {
		place = "centre"
	}
	if spec.Layout.RGB {
		channels = "rgb"
	}
	if spec.Layout.Scale != 1 {
		top = 1
	}
	c := models.Card{
		Schema: models.CardSchema, Family: spec.Family, Labels: spec.Labels, Licence: licence, Origin: origin, Command: command,
		Input: models.CardInput{Width: spec.Width, Height: spec.Height, Channels: channels, Range: top, Place: place, Fill: &fill},
	}
	if head != nil {
		for _, l := range head.Levels {
			c.Head = append(c.Head, models.Level(l))
		}
	}
	return c
}

// Marshal gives the bytes of a network with its card in the metadata, and of the card beside it.
func Marshal(m *graph.Model, card models.Card) (network, beside []byte, err error) {
	inside, err := card.Marshal(true)
	if err != nil {
		return nil, nil, err
	}
	m = m.Clone()
	m.Metadata = map[string]string{models.MetadataKey: string(inside)}
	m.Producer, m.ProducerVersion = "sightline", ""
	if network, err = m.Marshal(); err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(network)
	card.SHA256 = hex.EncodeToString(sum[:])
	beside, err = card.Marshal(false)
	return network, beside, err
}

// Write writes NAME.onnx and NAME.yaml, both or none, loaded once as a detector would before they take their names.
func Write(path string, m *graph.Model, card models.Card) error {
	if err := write(path, m, card); err != nil {
		return fmt.Errorf("write model %s: %w", path, err)
	}
	return nil
}

func write(path string, m *graph.Model, card models.Card) (err error) {
	if !strings.HasSuffix(path, ".onnx") {
		return errors.New("its name must end in .onnx")
	}
	network, beside, err := Marshal(m, card)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return graph.Remedied(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ready := filepath.Join(dir, filepath.Base(path))
	if err := graph.WriteFile(ready, network); err != nil {
		return err
	}
	if err := graph.WriteFile(cardOf(ready), beside); err != nil {
		return err
	}
	if _, err := models.Load(ready); err != nil {
		return err
	}
	return graph.Remedied(replace(ready, path))
}

// replace puts a bundle in the place of another. In between there is a network without a card, which is described by what it
// carries inside: never one with the card of another.
func replace(ready, path string) error {
	if err := os.Remove(cardOf(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(ready, path); err != nil {
		return err
	}
	return os.Rename(cardOf(ready), cardOf(path))
}

func cardOf(model string) string { return strings.TrimSuffix(model, ".onnx") + ".yaml" }
