// Package bundle puts a network and the card that describes it together.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// Write writes NAME.onnx and NAME.yaml, each whole or not at all, and loads them as a detector would.
func Write(path string, m *graph.Model, card models.Card) error {
	if !strings.HasSuffix(path, ".onnx") {
		return fmt.Errorf("write model %s: its name must end in .onnx", path)
	}
	network, beside, err := Marshal(m, card)
	if err != nil {
		return fmt.Errorf("write model %s: %w", path, err)
	}
	if err := graph.WriteFile(path, network); err != nil {
		return err
	}
	if err := graph.WriteFile(strings.TrimSuffix(path, ".onnx")+".yaml", beside); err != nil {
		return err
	}
	_, err = models.Load(path)
	return err
}
