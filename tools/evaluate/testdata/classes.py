"""Scores DIR/results.json against DIR/instances.json by pycocotools, class by class, and prints one JSON line.

Usage: classes.py DIR. Both files are in COCO form; ids of annotations are given here.
"""

import contextlib
import io
import json
import pathlib
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def mean(values):
    values = values[values > -1]
    return float(values.mean()) if values.size else -1.0


def main(folder):
    folder = pathlib.Path(folder)
    instances = json.loads((folder / "instances.json").read_text())
    for number, annotation in enumerate(instances["annotations"], 1):
        annotation["id"] = number
    (folder / "numbered.json").write_text(json.dumps(instances))
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(folder / "numbered.json"))
        scorer = COCOeval(truth, truth.loadRes(str(folder / "results.json")), "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    names = ["ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"]
    out = dict(zip(names, map(float, scorer.stats[:6])), recall=float(scorer.stats[8]), classes=[])
    precision, recall = scorer.eval["precision"], scorer.eval["recall"]  # [T, R, K, A, M], [T, K, A, M]
    for k, category in enumerate(scorer.params.catIds):
        out["classes"].append({
            "name": truth.cats[category]["name"],
            "ap": mean(precision[:, :, k, 0, -1]),
            "ap50": mean(precision[0, :, k, 0, -1]),
            "recall": mean(recall[:, k, 0, -1]),
        })
    print(json.dumps(out))


if __name__ == "__main__":
    main(sys.argv[1])
