package models

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// CardSchema is the version of the card's form.
const CardSchema = "sightline.model/1"

// MetadataKey is the key under which a model's metadata holds its card, without the sha256 of the file itself: so a file that
// travels alone still runs.
const MetadataKey = "sightline.card"

const maxCardBytes = 1 << 20

// Card describes a model; it lies beside the file as NAME.yaml.
type Card struct {
	Schema  string         `yaml:"schema"` // CardSchema
	Family  Family         `yaml:"family"`
	Input   CardInput      `yaml:"input"`
	Head    []Level        `yaml:"head,omitempty"` // of a network whose decode tail was cut off, the finest first
	Labels  []string       `yaml:"labels"`
	Licence string         `yaml:"licence"` // SPDX identifier
	Origin  CardOrigin     `yaml:"origin"`
	SHA256  string         `yaml:"sha256,omitempty"` // of the .onnx file
	Command string         `yaml:"command"`          // that made the file from the original
	Recipe  map[string]any `yaml:"recipe,omitempty"` // that the command followed, whole; see tools/compress
	Report  map[string]any `yaml:"report,omitempty"` // what was measured
}

// CardInput says what goes into the network.
type CardInput struct {
	Width    int    `yaml:"width"` // pixels
	Height   int    `yaml:"height"`
	Channels string `yaml:"channels"` // rgb or bgr
	Range    int    `yaml:"range"`    // samples are 0 to 255 or 0 to 1
	Place    string `yaml:"place"`    // of the picture: centre or top_left
	Fill     *uint8 `yaml:"fill"`     // grey around the picture, 0-255
}

// CardOrigin says what the file was made from.
type CardOrigin struct {
	URL    string `yaml:"url"`
	SHA256 string `yaml:"sha256"`
}

// parseCard reads a card strictly. alone means that it travels inside the file that it describes.
func parseCard(data []byte, alone bool) (Card, error) {
	var c Card
	if len(data) > maxCardBytes {
		return c, fmt.Errorf("%d bytes: must be at most %d", len(data), maxCardBytes)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		if errors.Is(err, io.EOF) {
			return c, errors.New("is empty")
		}
		lines := strings.ReplaceAll(strings.Replace(err.Error(), ":\n  ", ": ", 1), "\n  ", "; ")
		return c, errors.New(shown(lines, 1000))
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return c, errors.New("holds more than one document")
	}
	return c, c.validate(alone)
}

// Marshal writes the card as it lies beside the file, or, alone, as the file itself holds it.
func (c Card) Marshal(alone bool) ([]byte, error) {
	if alone {
		c.SHA256, c.Report = "", nil
	}
	if err := c.validate(alone); err != nil {
		return nil, fmt.Errorf("write card: %w", err)
	}
	return yaml.Marshal(c)
}

// validate tells all faults at once.
func (c Card) validate(alone bool) error {
	var faults []error
	that := func(ok bool, key, rule string, found any) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %s; found %.60q", key, rule, fmt.Sprint(found)))
		}
	}
	that(c.Schema == CardSchema, "schema", "must be "+CardSchema, c.Schema)
	that(c.Family != "", "family", "must be yolox, yolov5 or yolov8", c.Family)
	that(validSide(int64(c.Input.Width)), "input.width", "must be a multiple of 32 up to 8192", c.Input.Width)
	that(validSide(int64(c.Input.Height)), "input.height", "must be a multiple of 32 up to 8192", c.Input.Height)
	that(c.Input.Channels == "rgb" || c.Input.Channels == "bgr", "input.channels", "must be rgb or bgr", c.Input.Channels)
	that(c.Input.Range == 1 || c.Input.Range == 255, "input.range", "must be 1 (samples 0 to 1) or 255", c.Input.Range)
	that(c.Input.Place == "centre" || c.Input.Place == "top_left", "input.place", "must be centre or top_left", c.Input.Place)
	that(c.Input.Fill != nil, "input.fill", "must be the grey around the picture, 0 to 255", "nothing")
	if err := checkLabels(c.Labels); err != nil {
		faults = append(faults, fmt.Errorf("labels: %w", err))
	}
	if err := c.checkHead(); err != nil {
		faults = append(faults, fmt.Errorf("head: %w", err))
	}
	that(c.Licence != "", "licence", "must name the licence, such as Apache-2.0", c.Licence)
	u, err := url.Parse(c.Origin.URL)
	that(err == nil && u.IsAbs(), "origin.url", "must be the address of the original", c.Origin.URL)
	that(validSum(c.Origin.SHA256), "origin.sha256", "must be 64 lower-case hex digits", c.Origin.SHA256)
	that(alone && c.SHA256 == "" || !alone && validSum(c.SHA256), "sha256",
		"must be 64 lower-case hex digits beside a file, and absent inside one", c.SHA256)
	that(c.Command != "", "command", "must be the command that made the file", c.Command)
	return errors.Join(faults...)
}

func validSide(pixels int64) bool { return pixels > 0 && pixels <= 8192 && pixels%32 == 0 }

func validSum(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}

func (c Card) layout() Layout {
	l := Layout{RGB: c.Input.Channels == "rgb", Scale: 1, Centre: c.Input.Place == "centre", Fill: *c.Input.Fill}
	if c.Input.Range == 1 {
		l.Scale = 1.0 / 255
	}
	return l
}
