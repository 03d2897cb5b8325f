# Sightline. `make` finds what is missing, installs it, and builds bin/sightline; `make help` lists the rest.

TAGS       := gocv_specific_modules
GO_FLAGS   := -tags $(TAGS)
VERSION    ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),devel)
COMMIT     ?= $(or $(shell git rev-parse HEAD 2>/dev/null),unknown)
LDFLAGS    := -X main.version=$(VERSION) -X main.commit=$(COMMIT)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
SCRIPTS    := .ci/run $(wildcard tools/setup/*.sh)

# What `make demo` plays and looks with; without SOURCE it fetches a clip of pedestrians, without MODEL it takes the shipped one.
SOURCE ?=
MODEL  ?=
# Where `make bench BENCH=Adaptive` draws its figure, such as docs/adaptive.svg.
PLOT   ?=
# How long `make fuzz` gives each target.
FUZZTIME ?= 20s
# More flags for `go test`, such as -v or -run TestName.
TESTFLAGS ?=
# Which benchmarks `make bench` runs.
BENCH ?= .

# Paths and addresses reach the scripts by the environment: no shell reads what is in them.
export SOURCE MODEL PLOT TAGS TESTFLAGS FUZZTIME

.PHONY: build
build: deps-build ## find and install what is missing, build bin/sightline (the default)
	@go build $(GO_FLAGS) -trimpath -ldflags '$(LDFLAGS)' -o bin/sightline ./cmd/sightline

.PHONY: demo
demo: build ## play a clip (or SOURCE=rtsp://…) with boxes on a page and detections on NATS
	@tools/setup/demo.sh

.PHONY: test
test: deps-test check ## everything that must pass: format, vet, scripts, compose file, all tests
	@tools/setup/test.sh

# What `make test-device` runs networks on, and the ONNX Runtime that was built for it.
DEVICE  ?= cuda
LIBRARY ?=

.PHONY: test-device
test-device: deps-build ## the detector's tests on another device than the processor (DEVICE=cuda LIBRARY=…/libonnxruntime.so)
	@SIGHTLINE_TEST_DEVICE='$(DEVICE)' SIGHTLINE_ONNXRUNTIME='$(LIBRARY)' go test $(GO_FLAGS) -count=1 $(TESTFLAGS) ./detect ./detect/onnx

.PHONY: test-models
test-models: deps-build ## make the shipped models again and hold them against what is shipped (minutes for each; needs ../shared/data)
	@SIGHTLINE_REBUILD_MODELS=1 go test $(GO_FLAGS) -count=1 -v -timeout 0 -run '^TestShippedModelsComeOfTheirCards$$' ./cmd/sightline

.PHONY: lint
lint: deps-test check ## the checks of `make test` without its tests, and staticcheck
	@go run $(STATICCHECK) $(GO_FLAGS) ./...

.PHONY: bench
bench: deps-build ## benchmarks of every package, with allocations (BENCH=Letterbox for some)
	@go test $(GO_FLAGS) -p 1 -run '^$$' -bench '$(BENCH)' -benchmem $(TESTFLAGS) ./...

# How long `make soak` plays.
SOAK ?= 1h

.PHONY: soak
soak: deps-build ## play a 4K camera for SOAK (1h) and watch the memory (needs ../shared/data)
	@SOAK=$(SOAK) go test $(GO_FLAGS) -count=1 -v -timeout 0 -run '^TestSoak$$' ./cmd/sightline

.PHONY: fuzz
fuzz: deps-build ## every fuzz target for FUZZTIME (20s)
	@tools/setup/fuzz.sh

.PHONY: deps
deps: deps-test ## install what building and testing need, without building
	@echo 'deps: complete'

# Where `make models` finds the originals and the pictures.
DATA ?= ../shared/data

.PHONY: models
models: build ## make the shipped models anew from their originals in DATA (../shared/data)
	@tools/setup/models.sh $(DATA)

# The Python of the tools under tools/finetune and tools/peers; the program needs none.
CACHED := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sightline

.PHONY: finetune-deps finetune-test
finetune-deps: ## PyTorch and what else tools/finetune needs, into the system and the cache
	@tools/setup/deps.sh finetune
	@echo 'finetune: run $(CACHED)/finetune/bin/python tools/finetune/distill.py --help'
finetune-test: finetune-deps ## the self-check of tools/finetune
	@cd tools/finetune && '$(CACHED)/finetune/bin/python' -m unittest -q

# More flags for `make sahi`, such as --rounds 9 or --json FILE.
SAHIFLAGS ?=

.PHONY: peers
peers: build ## the quantisers of ONNX Runtime and NNCF, measured beside ours on DATA
	@tools/setup/python.sh install peers tools/peers/requirements.txt
	@'$(CACHED)/peers/bin/python' tools/peers/peers.py --data '$(DATA)' --work '$(CACHED)/peers-work'

.PHONY: sahi
sahi: build ## detection in tiles by SAHI, measured beside ours on DATA
	@tools/setup/python.sh install sahi tools/peers/sahi-requirements.txt
	@'$(CACHED)/sahi/bin/python' tools/peers/sahi_peer.py --data '$(DATA)/coco-4k' --model '$(DATA)/models/yolox_nano.onnx' $(SAHIFLAGS)

# The same for `make bytetrack`, such as --score 0.7.
BYTETRACKFLAGS ?=

.PHONY: bytetrack
bytetrack: build ## tracking by ByteTrack, on the same detections, measured beside ours on DATA and the demo clip
	@tools/setup/python.sh install bytetrack tools/peers/bytetrack-requirements.txt
	@vtest=$$(tools/setup/clip.sh) && '$(CACHED)/bytetrack/bin/python' tools/peers/bytetrack_peer.py --clips '$(DATA)/clips' --vtest "$$vtest" $(BYTETRACKFLAGS)

.PHONY: screenshot
screenshot: deps-test ## docs/page.png anew: the page as it plays the demo clip
	@SOURCE=$${SOURCE:-$$(tools/setup/clip.sh)} MODEL=$(abspath $(or $(MODEL),models/yolox-nano-int8.onnx)) SCREENSHOT=$(CURDIR)/docs/page.png \
		go test -tags '$(TAGS) screenshot' -count=1 -run TestScreenshot ./cmd/sightline

.PHONY: clean
clean: ## remove what was built; the cache with libraries and clips stays
	@rm -rf bin

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z -]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

.PHONY: deps-build deps-test check
deps-build:
	@tools/setup/deps.sh build
deps-test:
	@tools/setup/deps.sh test

check: deps-test
	@files=$$(gofmt -l .); test -z "$$files" || { echo "gofmt: run gofmt -w on:" $$files >&2; exit 1; }
	@go vet $(GO_FLAGS) ./...
	@shellcheck -x $(SCRIPTS)
	@tools/setup/compose.sh
