package compress

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/sightline/sightline/pipeline/strict"
)

func TestRecipesHaveDefaults(t *testing.T) {
	r, err := Parse("r.yaml", []byte("schema: sightline.recipe/1\ninput: 576\nprune: {amount: 0.3}\nquantize:\ncheck: {max_drop: 0}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Input != "576" || *r.Prune != (Prune{Method: Unstructured, Amount: 0.3, Repair: "ls", Pictures: 64}) {
		t.Errorf("%+v, %+v", r, r.Prune)
	}
	if q := r.Quantize; q == nil || q.Mode != "static" || q.Target != "cpu" || q.Pictures != 300 || q.MaxDrop != nil {
		t.Errorf("%+v", q)
	}
	if c := r.Check; c == nil || c.MaxDrop == nil || *c.MaxDrop != 0 || !r.NeedsMarks() || !r.NeedsPictures() {
		t.Errorf("%+v", c)
	}
	if m, err := r.plain(); err != nil || m["input"] != "576" || m["prune"].(map[string]any)["amount"] != 0.3 {
		t.Errorf("%v, %v", m, err)
	}
}

func TestRecipesThatDoNotHoldAreRefused(t *testing.T) {
	const head = "schema: sightline.recipe/1\n"
	for name, c := range map[string]struct{ text, want string }{
		"empty":        {"", "r.yaml:1: is empty"},
		"no YAML":      {"prune: [", "r.yaml:1: not YAML"},
		"list":         {"- prune", "r.yaml:1: must hold keys and values"},
		"two":          {head + "input: 64\n---\na: 1\n", "must hold one document"},
		"schema":       {"schema: sightline.recipe/2\ninput: 64\n", "r.yaml:1: schema: must be sightline.recipe/1"},
		"no schema":    {"input: 64\n", "schema: must be sightline.recipe/1"},
		"nothing":      {head, "changes nothing"},
		"key":          {head + "prnue: {}\n", "r.yaml:2: prnue: unknown key; known here: schema, input, prune, quantize, check"},
		"inner key":    {head + "prune:\n  amount: 0.3\n  shape: x\n", "r.yaml:4: prune.shape: unknown key; known here: method, amount"},
		"twice":        {head + "input: 64\ninput: 96\n", "r.yaml:3: input: is there twice, first on line 2"},
		"size":         {head + "input: 600\n", "r.yaml:2: input: size 600: sides must be multiples of 32"},
		"null":         {head + "input:\n", "r.yaml:2: input: must be a text"},
		"number":       {head + "prune: {amount: much}\n", "r.yaml:2: prune.amount: must be a number"},
		"whole number": {head + "prune: {amount: 0.3, pictures: 1.5}\n", "prune.pictures: must be a whole number"},
		"step":         {head + "prune: 0.3\n", "r.yaml:2: prune: must hold keys and values"},
		"no amount":    {head + "prune:\n", "prune.amount: must be above 0"},
		"amount":       {head + "prune: {amount: 1}\n", "prune.amount: must be above 0 and below 1, is 1"},
		"NaN":          {head + "prune: {amount: .nan}\n", "prune.amount"},
		"method":       {head + "prune: {method: magic, amount: 0.1}\n", `prune.method: must be unstructured or channel, is "magic"`},
		"scope":        {head + "prune: {amount: 0.1, scope: world}\n", "prune.scope: must be global or layer"},
		"repair":       {head + "prune: {amount: 0.1, repair: mix}\n", "prune.repair: must be one of ls, none"},
		"round":        {head + "prune: {amount: 0.1, round: 8}\n", "prune.round: is for the method channel"},
		"channel":      {head + "prune: {method: channel, amount: 0.1, scope: layer}\n", "prune.scope: is for the method unstructured"},
		"vast round":   {head + "prune: {method: channel, amount: 0.1, round: 1000}\n", "prune.round: must be 1 to 64"},
		"mode":         {head + "quantize: {mode: magic}\n", `quantize.mode: must be static or dynamic`},
		"importance":   {head + "prune: {method: channel, amount: 0.1, importance: luck}\n", "prune.importance: must be obs, data or l1"},
		"no channels":  {head + "prune: {amount: 0.1, importance: l1}\n", "prune.importance: is for the method channel"},
		"dynamic drop": {head + "quantize: {mode: dynamic, max_drop: 1}\n", "use check.max_drop"},
		"target":       {head + "quantize: {target: abacus}\n", `quantize.target: must be`},
		"pictures":     {head + "quantize: {pictures: 0}\n", "quantize.pictures: must be above 0"},
		"drop":         {head + "quantize: {max_drop: -1}\n", "quantize.max_drop: must be 0 to 100"},
		"no check":     {head + "input: 64\ncheck: {}\n", "check: asks for nothing"},
		"check":        {head + "input: 64\ncheck: {max_drop: .inf}\n", "check.max_drop: must be 0 to 100"},
	} {
		_, err := Parse("r.yaml", []byte(c.text))
		if err == nil || !errors.As(err, new(strict.Faults)) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	_, err := Parse("r.yaml", []byte("prune: {amount: 2, size: 1}\nquantise: {}\n"))
	if err == nil || strings.Count(err.Error(), "r.yaml:") != 2 {
		t.Errorf("not all unknown keys at once: %v", err)
	}
}

func TestRecipeFilesThatCannotBeRead(t *testing.T) {
	big := filepath.Join(t.TempDir(), "big.yaml")
	if err := os.WriteFile(big, make([]byte, maxRecipeBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"nowhere.yaml": "no such file", t.TempDir(): "must be a file", big: "at most"} {
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("schema: sightline.recipe/1\ninput: 576\nprune: {amount: 0.3}\nquantize: {mode: static}\ncheck: {max_drop: 1}\n")
	f.Add("a: &a [*a]\nprune: *a")
	f.Fuzz(func(t *testing.T, text string) {
		if r, err := Parse("r.yaml", []byte(text)); err == nil && len(r.problems()) > 0 {
			t.Errorf("%q was taken", text)
		}
	})
}

// TestShippedRecipesAreSound: and the example says what the defaults are.
func TestShippedRecipesAreSound(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "models", "recipes", "*.yaml"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if _, err := Load(file); err != nil {
			t.Error(err)
		}
	}
	r, err := Load(filepath.Join("..", "..", "models", "recipes", "example.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p, q := defaultPrune(), defaultQuantize()
	p.Amount, p.Scope = 0.3, "global"
	if *r.Prune != *p || *r.Quantize != *q {
		t.Errorf("%+v, %+v: not the defaults %+v, %+v", r.Prune, r.Quantize, p, q)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "models", "recipes", "example.yaml"))
	for _, key := range keys(reflect.TypeFor[Recipe]()) {
		if err != nil || !strings.Contains(string(text), key+":") {
			t.Errorf("the example lacks %s, %v", key, err)
		}
	}
}

func keys(t reflect.Type) (all []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if all = append(all, name); f.Type.Kind() == reflect.Pointer && f.Type.Elem().Kind() == reflect.Struct {
			all = append(all, keys(f.Type.Elem())...)
		}
	}
	return all
}
