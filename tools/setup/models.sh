#!/usr/bin/env bash
# Makes the shipped models from their originals by the recipes in models/recipes: DATA holds models/, coco-train/ (calibration) and
# coco-dev/ (figures).
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:?usage: models.sh DATA}

# make_model RECIPE NAME: models/NAME.onnx from YOLOX-nano.
make_model() {
	bin/sightline model compress --recipe "models/recipes/$1.yaml" --calib "$data/coco-train" --measure "$data/coco-dev" \
		--licence Apache-2.0 --origin https://github.com/Megvii-BaseDetection/YOLOX/releases/tag/0.1.1rc0 \
		"$data/models/yolox_nano.onnx" "models/$2.onnx"
}

make_model int8 yolox-nano-int8
make_model yolox-nano-416x320-int8 yolox-nano-416x320-int8
