package onnx

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryVariantLooksUp: all lengths around the width of a register, at odd addresses, in place.
func TestEveryVariantLooksUp(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var table [256]uint8
	for i := range table {
		table[i] = uint8(random.Uint32())
	}
	for variant, name := range lookupVariants() {
		if name == "" {
			continue // another processor's
		}
		for n := range 300 {
			buffer := make([]uint8, n+1)
			for i := range buffer {
				buffer[i] = uint8(random.Uint32())
			}
			x := buffer[1:]
			want := make([]uint8, n)
			for i, v := range x {
				want[i] = table[v]
			}
			got := make([]uint8, n)
			if lookup(variant, x, &table, got); !slices.Equal(got, want) {
				t.Fatalf("%s gives something else for %d bytes", name, n)
			}
			if lookup(variant, x, &table, x); !slices.Equal(x, want) {
				t.Fatalf("%s gives something else for %d bytes in place", name, n)
			}
		}
	}
}

// TestChannelsLookUpInTheirOwnTables: by every variant, around the sizes of a block, in place, and for channels that are no multiple of it.
func TestChannelsLookUpInTheirOwnTables(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 2))
	for variant, name := range lookupVariants() {
		for _, channels := range []int{1, 3, 16, 24, 48} {
			tables := make([]uint8, 256*channels)
			for i := range tables {
				tables[i] = uint8(random.Uint32())
			}
			for _, pixels := range []int{1, 63, 64, 65, 200} {
				if name == "" {
					continue // another processor's
				}
				x, want := make([]uint8, pixels*channels), make([]uint8, pixels*channels)
				for i := range x {
					x[i] = uint8(random.Uint32())
					want[i] = tables[i%channels*256+int(x[i])]
				}
				got := make([]uint8, len(x))
				if lookupChannels(variant, x, tables, got); !slices.Equal(got, want) {
					t.Fatalf("%s: %d pixels of %d channels give something else", name, pixels, channels)
				}
				if lookupChannels(variant, x, tables, x); !slices.Equal(x, want) {
					t.Fatalf("%s: %d pixels of %d channels give something else in place", name, pixels, channels)
				}
			}
		}
	}
}

func BenchmarkLookupChannels(b *testing.B) {
	x, tables := make([]uint8, 1<<20), make([]uint8, 64*256)
	benchmarkVariants(b, len(x), func(variant int) { lookupChannels(variant, x, tables, x) })
}

func BenchmarkLookup(b *testing.B) {
	x, y := make([]uint8, 1<<20), make([]uint8, 1<<20)
	var table [256]uint8
	benchmarkVariants(b, len(x), func(variant int) { lookup(variant, x, &table, y) })
}

// benchmarkVariants has n bytes looked up in every way that this processor can.
func benchmarkVariants(b *testing.B, n int, look func(variant int)) {
	for variant, name := range lookupVariants() {
		if name == "" {
			continue
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				look(variant)
			}
		})
	}
}

// places are the names of the binding's header for what abi.h calls by number.
var places = map[string]string{
	"ABI_CREATE_STATUS": "CreateStatus", "ABI_CREATE_DOMAIN": "CreateCustomOpDomain", "ABI_DOMAIN_ADD": "CustomOpDomain_Add", "ABI_ADD_DOMAIN": "AddCustomOpDomain",
	"ABI_TENSOR_DATA": "GetTensorMutableData", "ABI_DIMENSIONS_COUNT": "GetDimensionsCount", "ABI_DIMENSIONS": "GetDimensions",
	"ABI_ELEMENT_COUNT": "GetTensorShapeElementCount", "ABI_TENSOR_SHAPE": "GetTensorTypeAndShape",
	"ABI_INFER_INPUT": "ShapeInferContext_GetInputTypeShape", "ABI_INFER_OUTPUT": "ShapeInferContext_SetOutputTypeShape",
	"ABI_NAME_DIMENSIONS": "SetSymbolicDimensions",
	"ABI_INPUT":           "KernelContext_GetInput", "ABI_OUTPUT": "KernelContext_GetOutput", "ABI_RELEASE_SHAPE": "ReleaseTensorTypeAndShapeInfo",
}

// fields are the names of the binding's header for the fields of an operator's description.
var fields = map[string]string{
	"version": "version", "name": "GetName", "provider": "GetExecutionProviderType", "input_type": "GetInputType",
	"inputs": "GetInputTypeCount", "output_type": "GetOutputType", "outputs": "GetOutputTypeCount", "destroy": "KernelDestroy",
	"input_kind": "GetInputCharacteristic", "output_kind": "GetOutputCharacteristic", "input_memory": "GetInputMemoryType",
	"create_v2": "CreateKernelV2", "compute_v2": "KernelComputeV2", "infer_shape": "InferOutputShapeFn", "start_version": "GetStartVersion", "end_version": "GetEndVersion",
	"may_inplace": "GetMayInplace", "release_inplace": "ReleaseMayInplace",
}

// TestInterfaceIsThatOfTheHeader compiles our part of onnxruntime's interface against the header that comes with the Go binding.
func TestInterfaceIsThatOfTheHeader(t *testing.T) {
	binding, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/yalue/onnxruntime_go").Output()
	if err != nil {
		t.Fatalf("find the binding's header: %v", err)
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	var c strings.Builder
	c.WriteString("#include \"onnxruntime_c_api.h\"\n#include \"abi.h\"\n")
	for ours, theirs := range places {
		fmt.Fprintf(&c, "_Static_assert(offsetof(OrtApi, %s) == %s * sizeof(void *), \"%s\");\n", theirs, ours, ours)
	}
	for ours, theirs := range fields {
		fmt.Fprintf(&c, "_Static_assert(offsetof(OrtCustomOp, %s) == offsetof(abi_operator, %s), \"%s\");\n", theirs, ours, ours)
	}
	c.WriteString("_Static_assert(sizeof(OrtCustomOp) == sizeof(abi_operator) && ABI_UINT8 == ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8 && " +
		"ABI_FLOAT == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT && ABI_INT8 == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8 && " +
		"ABI_INT64 == ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64, \"size\");\n")
	file := filepath.Join(t.TempDir(), "check.c")
	if err := os.WriteFile(file, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", "-fsyntax-only", "-I", strings.TrimSpace(string(binding)), "-I", here, file).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	source, err := os.ReadFile("abi.h")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`\bABI_\w+ = \d`).FindAllString(string(source), -1) {
		if name, _, _ = strings.Cut(name, " "); places[name] == "" && !slices.Contains([]string{"ABI_VERSION", "ABI_OPERATOR_VERSION", "ABI_FLOAT", "ABI_UINT8", "ABI_INT8", "ABI_INT64"}, name) {
			t.Errorf("%s is not held against the header", name)
		}
	}
}
