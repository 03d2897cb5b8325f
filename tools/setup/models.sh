#!/usr/bin/env bash
# Makes the shipped models from their originals: DATA holds models/, coco-train/ (calibration) and coco-dev/ (figures).
set -euo pipefail
cd "$(dirname "$0")/../.."
data=${1:?usage: models.sh DATA}

bin/sightline model quantize --calib "$data/coco-train" --measure "$data/coco-dev" --licence Apache-2.0 \
	--origin https://github.com/Megvii-BaseDetection/YOLOX/releases/tag/0.1.1rc0 \
	"$data/models/yolox_nano.onnx" models/yolox-nano-int8.onnx
