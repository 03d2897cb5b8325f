package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/sightline/sightline/models"
	"github.com/sightline/sightline/tools/compress"
	"github.com/sightline/sightline/tools/evaluate"
)

// rebuildModels, in the environment, makes every shipped model again, which takes minutes for each: `make test-models`.
const rebuildModels = "SIGHTLINE_REBUILD_MODELS"

// TestShippedModelsComeOfTheirCards: what a card says is enough to make its file again. Of every shipped model the original must be the
// one that its card names, and its command and recipe such as are in the tree. Where it is asked for, they are made again.
//
// What comes of that can be held against the shipped bytes only on the kind of machine that made them: onnxruntime adds float numbers
// up in another order with other instructions, or another number of threads, and a range, a bias or the choice of a float part follows.
// The card says what that machine was. On another one the new model must be of the same form and find as much, within what rounding
// does. That two builds on one machine are equal is tested on small networks, where it takes no minutes.
func TestShippedModelsComeOfTheirCards(t *testing.T) {
	originals := sums(t, shared(t, "models"))
	t.Chdir(filepath.Join("..", ".."))
	files, err := filepath.Glob(filepath.Join("models", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		file = strings.TrimSuffix(file, ".yaml") + ".onnx"
		t.Run(filepath.Base(file), func(t *testing.T) {
			card, err := models.ReadCard(file)
			if err != nil {
				t.Fatal(err)
			}
			in := originals[card.Origin.SHA256]
			if in == "" {
				t.Fatalf("no original has the sha256 %s that the card names", card.Origin.SHA256)
			}
			args := again(t, card, in)
			if os.Getenv(rebuildModels) != "" {
				rebuild(t, file, card, args)
			}
		})
	}
}

// sums finds files by their sha256.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	dir, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.onnx"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	found := map[string]string{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(data)
		found[hex.EncodeToString(sum[:])] = file
	}
	return found
}

// again is the card's command with the places where its files lie here, but for the last, the new model's.
func again(t *testing.T, card *models.Card, in string) []string {
	t.Helper()
	words := strings.Fields(card.Command)
	if len(words) < 5 || words[0] != "sightline" || words[1] != "model" {
		t.Fatalf("the card's command is %q", card.Command)
	}
	args := append([]string{}, words[1:len(words)-2]...)
	for i, word := range args[:len(args)-1] {
		switch word {
		case "--calib", "--eval":
			args[i+1] = filepath.Join(filepath.Dir(filepath.Dir(in)), args[i+1])
			if _, err := os.Stat(args[i+1]); err != nil {
				t.Fatalf("the pictures of the card's command: %v", err)
			}
		case "--recipe":
			args[i+1] = filepath.Join("models", "recipes", args[i+1])
			sameRecipe(t, args[i+1], card)
		}
	}
	if name := words[len(words)-2]; name != filepath.Base(in) {
		t.Errorf("the command names %s, but the sha256 is that of %s", name, filepath.Base(in))
	}
	return append(args, "--licence", card.Licence, "--origin", card.Origin.URL, in)
}

// sameRecipe holds the recipe in the tree against the one in the card.
func sameRecipe(t *testing.T, path string, card *models.Card) {
	t.Helper()
	recipe, err := compress.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(recipe)
	if err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := yaml.Unmarshal(text, &plain); err != nil || !reflect.DeepEqual(plain, card.Recipe) {
		t.Errorf("the card has another recipe than %s: run `make models`; card %v, file %v, %v", path, card.Recipe, plain, err)
	}
}

// rebuild makes a model again and holds it against the shipped one.
func rebuild(t *testing.T, shipped string, card *models.Card, args []string) {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(shipped))
	cmd := exec.Command(os.Args[0], append(args, out)...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, said)
	}
	made, err := models.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	want, err := models.Load(shipped)
	if err != nil {
		t.Fatal(err)
	}
	here, err := compress.ThisMachine()
	if err != nil {
		t.Fatal(err)
	}
	if then := machineOf(t, card); then == here {
		if made.SHA256 != want.SHA256 {
			t.Errorf("made again it has the sha256 %s, its card says %s: run `make models` where the tools changed what they make", made.SHA256, want.SHA256)
		}
		return
	} else {
		t.Logf("made on %+v, this machine is %+v: the bytes may differ", then, here)
	}
	if fmt.Sprint(made.Family, made.Width, made.Height, made.Labels, made.Layout, made.Head) != fmt.Sprint(want.Family, want.Width, want.Height, want.Labels, want.Layout, want.Head) {
		t.Errorf("made again it is %+v, shipped is %+v", made, want)
	}
	data := filepath.Join(filepath.Dir(filepath.Dir(args[len(args)-1])), "coco-dev")
	if a, b := ap(t, out, data), ap(t, shipped, data); math.Abs(a-b) > 0.01 {
		t.Errorf("made again it has an AP of %.4f, shipped %.4f", a, b)
	}
}

// machineOf is the machine that made a model, as its card says; the zero value where it does not.
func machineOf(t *testing.T, card *models.Card) (m compress.Machine) {
	t.Helper()
	text, err := yaml.Marshal(card.Report["machine"])
	if err == nil {
		err = yaml.Unmarshal(text, &m)
	}
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func ap(t *testing.T, model, data string) float64 {
	t.Helper()
	in, err := evaluate.ReadFolder(data)
	if err != nil {
		t.Fatal(err)
	}
	a, err := evaluate.Model(t.Context(), model, in, evaluate.Options{Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return a.AP
}

// TestRebuildUnderstandsCommands: of cards as both commands write them.
func TestRebuildUnderstandsCommands(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	dir := t.TempDir()
	in := filepath.Join(dir, "models", "yolox_nano.onnx")
	for _, folder := range []string{"models", "coco-train"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	recipe, err := compress.Load(filepath.Join("models", "recipes", "int8.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := yaml.Marshal(recipe) // which was read from YAML
	card := &models.Card{Licence: "Apache-2.0", Origin: models.CardOrigin{URL: "file:a"}}
	if err := yaml.Unmarshal(text, &card.Recipe); err != nil {
		t.Fatal(err)
	}
	for command, want := range map[string]string{
		"sightline model quantize --calib coco-train --pictures 9 yolox_nano.onnx b.onnx":       `^\[model quantize --calib \S+/coco-train --pictures 9 --licence Apache-2.0 --origin file:a \S+/yolox_nano.onnx\]$`,
		"sightline model compress --recipe int8.yaml --calib coco-train yolox_nano.onnx b.onnx": `^\[model compress --recipe models/recipes/int8.yaml --calib \S+/coco-train --licence \S+ --origin \S+ \S+/yolox_nano.onnx\]$`,
	} {
		card.Command = command
		if got := fmt.Sprint(again(t, card, in)); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s became %s", command, got)
		}
	}
}
