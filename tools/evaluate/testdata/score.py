"""Scores DIR/results.json against DIR/instances.json by pycocotools and prints one JSON line.

Usage: score.py DIR. Both files are in COCO form; ids of annotations are given here.
"""

import contextlib
import io
import json
import pathlib
import sys

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


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
    print(json.dumps(dict(zip(names, map(float, scorer.stats[:6])))))


if __name__ == "__main__":
    main(sys.argv[1])
