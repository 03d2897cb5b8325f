"""Pictures into a whole YOLO network and objects out of it, as its authors do: for runtimes that sightline does not load."""

import cv2
import numpy

SCORE, OVERLAP, MOST = 0.01, 0.65, 300  # as sightline detect --conf 0.01


class Family:
    """How a family wants its input, and what its output means."""

    def __init__(self, name, size):
        self.name, self.size = name, size
        self.centre = self.rgb = name == "yolov5"
        sides = [size // stride for stride in (8, 16, 32)]
        self.grid = numpy.concatenate([numpy.stack(numpy.meshgrid(numpy.arange(n), numpy.arange(n)), 2).reshape(-1, 2) for n in sides])
        self.stride = numpy.concatenate([numpy.full((n * n, 1), size / n) for n in sides])

    def ratio(self, pixels):
        return min(self.size / pixels.shape[0], self.size / pixels.shape[1])

    def input(self, pixels):
        """[1, 3, size, size] float32 of a picture [h, w, 3] in BGR, and where its corner lies."""
        height, width = (int(side * self.ratio(pixels) + (0.5 if self.centre else 0)) for side in pixels.shape[:2])
        top, left = ((self.size - height) // 2, (self.size - width) // 2) if self.centre else (0, 0)
        canvas = numpy.full((self.size, self.size, 3), 114, numpy.uint8)
        canvas[top:top + height, left:left + width] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        planes = (canvas[:, :, ::-1] / 255 if self.rgb else canvas).transpose(2, 0, 1)[None]
        return numpy.ascontiguousarray(planes, numpy.float32), (left, top)

    def objects(self, output, pixels, corner, least=SCORE):
        """(box x, y, width, height in pixels of the picture, class, score) of all objects in an output [1, cells, 5+classes]."""
        cells = self._decoded(output[0], least)
        scores = cells[:, 4:5] * cells[:, 5:]
        if self.name == "yolox":  # its authors take the best class of a cell only
            scores = numpy.where(scores == scores.max(1, keepdims=True), scores, 0)
        rows, classes = numpy.nonzero(scores >= least)
        boxes = numpy.concatenate([cells[rows, :2] - cells[rows, 2:4] / 2, cells[rows, 2:4]], 1)
        boxes[:, :2] -= corner
        boxes = _inside(boxes / self.ratio(pixels), pixels.shape[1], pixels.shape[0])
        kept = _best(boxes, scores[rows, classes], classes)
        return [(boxes[i].tolist(), int(classes[i]), float(scores[rows[i], classes[i]])) for i in kept]

    def _decoded(self, cells, least):
        """The cells that may hold an object: none scores more than its objectness."""
        rows = numpy.flatnonzero(cells[:, 4] >= least)
        cells = cells[rows].astype(numpy.float64)
        if self.name == "yolov5":
            return cells
        centres, sides = (cells[:, :2] + self.grid[rows]) * self.stride[rows], numpy.exp(cells[:, 2:4]) * self.stride[rows]
        return numpy.concatenate([centres, sides, cells[:, 4:]], 1)


def _inside(boxes, width, height):
    low = numpy.clip(boxes[:, :2], 0, [width, height])
    high = numpy.clip(boxes[:, :2] + boxes[:, 2:], 0, [width, height])
    return numpy.concatenate([low, high - low], 1)


def _best(boxes, scores, classes):
    """The numbers of those that no better box of their class overlaps."""
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), classes.tolist(), 0.0, OVERLAP) if len(boxes) else []
    return sorted(kept, key=lambda i: -scores[i])[:MOST]
