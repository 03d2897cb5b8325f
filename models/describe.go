package models

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// describe fills in what the file is, from the best source that there is, and holds it against the file's tensors.
func (s *Spec) describe(file *onnxFile, card *Card) error {
	input, err := s.findInput(file)
	if err != nil {
		return err
	}
	if s.Source = FromCard; card == nil {
		if card, err = cardInside(file); err != nil {
			return err
		}
		s.Source = FromMetadata
	}
	if card != nil {
		s.Family, s.Labels, s.Layout, s.Licence = card.Family, card.Labels, card.layout(), card.Licence
		s.Width, s.Height, s.Head, s.Origin = card.Input.Width, card.Input.Height, card.Head, card.Origin
		return errors.Join(s.checkInput(input), s.checkOutput(file))
	}
	if err := s.readMetadata(file, input); err != nil {
		return err
	}
	return s.deriveFamily(file)
}

// findInput finds the one tensor that a picture goes into: [N, 3, height, width] float32.
func (s *Spec) findInput(file *onnxFile) (tensor, error) {
	var inputs []tensor
	for _, t := range file.inputs {
		if !file.initial[t.name] {
			inputs = append(inputs, t)
		}
	}
	if len(inputs) != 1 {
		return tensor{}, fmt.Errorf("it has %d inputs: must be one, [N, 3, height, width]; this is no detection network of a known family", len(inputs))
	}
	t := inputs[0]
	if t.elem != elemFloat32 {
		return t, fmt.Errorf("input %s is of %s: must be float32; export it again with float32 inputs and outputs", t, elemName(t.elem))
	}
	if len(t.shape) != 4 || t.shape[1] != 3 && t.shape[1] != dynamic {
		return t, fmt.Errorf("input %s: must be [N, 3, height, width]; this is no detection network of a known family", t)
	}
	s.Input = t.name
	if s.Batch = int(t.shape[0]); t.shape[0] == dynamic {
		s.Batch = 0
	}
	if t.shape[0] > 1024 {
		return t, fmt.Errorf("input %s has a batch of %d: must be at most 1024", t, t.shape[0])
	}
	return t, nil
}

// checkInput holds the card's size against the tensor's.
func (s *Spec) checkInput(t tensor) error {
	height, width := t.shape[2], t.shape[3]
	if height != dynamic && height != int64(s.Height) || width != dynamic && width != int64(s.Width) {
		return fmt.Errorf("input %s, but its card says width %d and height %d: they must be equal; correct the card", t, s.Width, s.Height)
	}
	return nil
}

// checkOutput looks for the output that the family and the labels call for.
func (s *Spec) checkOutput(file *onnxFile) error {
	if len(s.Head) > 0 {
		return s.checkHeadOutputs(file)
	}
	want := s.OutputShape(max(1, s.Batch))
	for _, t := range file.outputs {
		if t.elem == elemFloat32 && fits(t.shape, want) {
			s.Output = t.name
			return nil
		}
	}
	if classes := s.classesOf(file); classes > 0 && classes != len(s.Labels) {
		return fmt.Errorf("outputs %s hold %d classes, but its %s names %d labels: must be as many; correct the labels",
			list(file.outputs), classes, s.Source, len(s.Labels))
	}
	return fmt.Errorf("outputs %s: %s with %dx%d and %d labels must give [N, %d, %d] float32; correct the %s or export the model again",
		list(file.outputs), s.Family, s.Width, s.Height, len(s.Labels), want[1], want[2], s.Source)
}

// classesOf gives the number of classes of the output that fits the family in all else; 0 where there is none.
func (s *Spec) classesOf(file *onnxFile) int {
	for _, t := range file.outputs {
		if len(t.shape) != 3 {
			continue
		}
		anchors, rows, extra := t.shape[1], t.shape[2], int64(5)
		if s.Family == YOLOv8 {
			anchors, rows, extra = t.shape[2], t.shape[1], 4
		}
		if anchors == int64(s.Anchors()) && rows > extra {
			return int(rows - extra)
		}
	}
	return 0
}

// fits tells whether a tensor may have a shape. The batch of an output is often left open or wrong by exporters.
func fits(shape, want []int64) bool {
	if len(shape) != len(want) {
		return false
	}
	for i := 1; i < len(want); i++ {
		if shape[i] != dynamic && shape[i] != want[i] {
			return false
		}
	}
	return true
}

// cardInside reads the card in the file's metadata; nil where there is none.
func cardInside(file *onnxFile) (*Card, error) {
	text, ok := file.metadata[MetadataKey]
	if !ok {
		return nil, nil //nolint:nilnil // no card is a plain answer
	}
	card, err := parseCard([]byte(text), true)
	if err != nil {
		return nil, fmt.Errorf("its metadata %s: %w", MetadataKey, err)
	}
	return &card, nil
}

// readMetadata takes what the exporters of YOLO networks write: names, stride, task, imgsz.
func (s *Spec) readMetadata(file *onnxFile, input tensor) error {
	s.Source = FromShapes
	if task, ok := file.metadata["task"]; ok && task != "detect" {
		return fmt.Errorf("its metadata says task %.40q: must be detect; name a detection model", task)
	}
	if stride, ok := file.metadata["stride"]; ok {
		if n, err := strconv.ParseFloat(stride, 64); err != nil || n != 32 {
			return fmt.Errorf("its metadata says stride %.40q: must be 32; networks with other grids are not known", stride)
		}
	}
	if names, ok := file.metadata["names"]; ok {
		labels, err := parseNames(names)
		if err != nil {
			return fmt.Errorf("its metadata names %w; write a card beside it", err)
		}
		s.Labels, s.Source = labels, FromMetadata
	}
	return s.readSize(file.metadata["imgsz"], input)
}

var imageSize = regexp.MustCompile(`^\[(\d{1,5}), ?(\d{1,5})\]$`)

// readSize takes the size of the input from its tensor, else from the exporter's note (height first).
func (s *Spec) readSize(note string, t tensor) error {
	height, width := t.shape[2], t.shape[3]
	if m := imageSize.FindStringSubmatch(note); m != nil && height == dynamic && width == dynamic {
		height, _ = strconv.ParseInt(m[1], 10, 64)
		width, _ = strconv.ParseInt(m[2], 10, 64)
	}
	if !validSide(height) || !validSide(width) {
		return fmt.Errorf("input %s: height and width must be fixed multiples of 32 up to 8192; export it with a fixed size or write a card beside it", t)
	}
	s.Width, s.Height = int(width), int(height)
	return nil
}

// deriveFamily finds the family whose output has the shape that the file's has, with COCO's labels where none are named.
func (s *Spec) deriveFamily(file *onnxFile) error {
	named := s.Labels
	var found []Spec
	for _, family := range []Family{YOLOX, YOLOv5, YOLOv8} {
		try := *s
		try.Family, try.Layout = family, family.Layout()
		if try.Labels = named; named == nil {
			try.Labels = COCOLabels()
		}
		if try.checkOutput(file) == nil {
			found = append(found, try)
		}
	}
	if len(found) == 1 {
		*s = found[0]
		return nil
	}
	if len(found) > 1 {
		return fmt.Errorf("outputs %s fit several families: shapes must be fixed; export it so or write a card beside it", list(file.outputs))
	}
	return s.strange(file, named != nil)
}

// strange says why no family fits.
func (s *Spec) strange(file *onnxFile, named bool) error {
	for _, family := range []Family{YOLOX, YOLOv5, YOLOv8} {
		try := *s
		try.Family = family
		classes := try.classesOf(file)
		switch {
		case classes > 0 && named:
			return fmt.Errorf("outputs %s hold %d classes, but its metadata names %d labels: must be as many; write a card beside it",
				list(file.outputs), classes, len(s.Labels))
		case classes > 0:
			return fmt.Errorf("outputs %s hold %d classes without labels: only COCO's 80 are known by heart; write a card beside it",
				list(file.outputs), classes)
		}
	}
	cells := YOLOX.anchors(s.Width, s.Height)
	return fmt.Errorf("outputs %s: for an input of %dx%d must be float32 [N, %d, 5+classes] (yolox), [N, %d, 5+classes] (yolov5) or [N, 4+classes, %d] (yolov8, yolo11); export it so, without NMS inside",
		list(file.outputs), s.Width, s.Height, cells, 3*cells, cells)
}

// String writes a tensor as its name and shape.
func (t tensor) String() string {
	if !t.rank {
		return shown(t.name, 60) + " of unknown shape"
	}
	sizes := make([]string, len(t.shape))
	for i, n := range t.shape {
		if sizes[i] = strconv.FormatInt(n, 10); n == dynamic {
			sizes[i] = "?"
		}
	}
	return fmt.Sprintf("%s [%s]", shown(t.name, 60), strings.Join(sizes, ", "))
}

// shown makes text that a stranger wrote fit for a message: short, and nothing that a terminal obeys.
func shown(text string, limit int) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text[:min(limit, len(text))])
}

func list(tensors []tensor) string {
	if len(tensors) == 0 {
		return "(none)"
	}
	var words []string
	for _, t := range tensors[:min(8, len(tensors))] {
		word := t.String()
		if t.elem != elemFloat32 {
			word += " " + elemName(t.elem)
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func elemName(elem int) string {
	names := map[int]string{0: "no tensor type", 1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64", 16: "bfloat16"}
	if name, ok := names[elem]; ok {
		return name
	}
	return fmt.Sprintf("element type %d", elem)
}
