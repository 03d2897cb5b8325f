"""Unlabelled pictures, brought to a network's input as the card of the model says, plainly or varied for training."""

import pathlib

import cv2
import numpy
import torch

SUFFIXES = {".jpg", ".jpeg", ".png"}
KEPT_BYTES = 1 << 30  # of decoded pictures; more are decoded anew whenever they are looked at

# How training varies pictures. Few hundred of them are soon known by heart: the further varied, the later.
PLAIN, CUT = 0.1, 0.2  # shares of pictures as the detector sees them and of one cut out; the rest is of four
SCALES = 0.3, 1.6  # of a cut, in the measure of the detector's
STRETCH, TURN = 0.2, 0.08  # logarithm of the sides' ratio at most; radians, one standard deviation
MIRRORED = 0.8  # share of cuts around which the picture goes on as in a mirror, so that there is something to see
LAID_OVER, TINTED, SPOILT = 0.25, 0.7, 0.2  # shares


class NoPictures(Exception):
    """The folder holds nothing to learn from."""


def find(folder):
    """The pictures of a folder, or of images/ inside it, in the order of their names."""
    folder = pathlib.Path(folder)
    if (folder / "images").is_dir():
        folder = folder / "images"
    if not folder.is_dir():
        raise NoPictures(f"read pictures of {folder}: there is no such folder")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    if not paths:
        raise NoPictures(f"read pictures of {folder}: it holds no .jpg, .jpeg or .png")
    return paths


class Pictures:
    """Gives batches [N, 3, height, width] float32 of the pictures at some paths.

    place is the `input` part of a sightline card: width, height, channels, range, place, fill. device is where batches lie. Several
    threads may ask at once.
    """

    def __init__(self, paths, place, device="cpu"):
        self.paths, self.place, self.device, self.kept, self.bytes = list(paths), place, device, {}, 0

    def __len__(self):
        return len(self.paths)

    def picture(self, i):
        """The i-th picture, [h, w, 3] uint8 in BGR."""
        if i in self.kept:
            return self.kept[i]
        pixels = cv2.imread(str(self.paths[i]), cv2.IMREAD_COLOR)
        if pixels is None:
            raise NoPictures(f"read picture {self.paths[i]}: it is damaged; take it out of the folder")
        if self.bytes + pixels.nbytes <= KEPT_BYTES:
            self.kept[i], self.bytes = pixels, self.bytes + pixels.nbytes
        return pixels

    def plain(self, numbers):
        """Pictures as the detector sees them: letterboxed to the card's size."""
        return self._batch([self._letterbox(self.picture(i)) for i in numbers])

    def varied(self, random, count):
        """Random pictures that are hardly ever the same: cut, mixed, laid over each other, tinted and blurred. What is on them need not
        be likely, as the teacher says what it sees."""
        return self._batch([self._one(random) for _ in range(count)])

    def _one(self, random):
        pixels = self._view(random)
        if random.random() < LAID_OVER:
            pixels = cv2.addWeighted(pixels, share := random.uniform(0.4, 0.8), self._view(random), 1 - share, 0)
        if random.random() < TINTED:
            pixels = self._tint(random, pixels)
        return self._spoil(random, pixels) if random.random() < SPOILT else pixels

    def _view(self, random):
        kind, size = random.random(), (self.place["width"], self.place["height"])
        if kind < PLAIN:
            return self._letterbox(self._any(random))
        return self._cut(random, *size) if kind < PLAIN + CUT else self._mosaic(random, *size)

    def _any(self, random):
        pixels = self.picture(random.integers(len(self)))
        return cv2.flip(pixels, 1) if random.random() < 0.5 else pixels

    def _ratio(self, pixels):
        return min(self.place["width"] / pixels.shape[1], self.place["height"] / pixels.shape[0])

    def _letterbox(self, pixels):
        ratio, centre = self._ratio(pixels), self.place["place"] == "centre"
        width, height = (int(side * ratio + (0.5 if centre else 0)) for side in pixels.shape[1::-1])
        canvas = self._canvas(self.place["width"], self.place["height"])
        left, top = ((canvas.shape[1] - width) // 2, (canvas.shape[0] - height) // 2) if centre else (0, 0)
        canvas[top:top + height, left:left + width] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        return canvas

    def _canvas(self, width, height):
        return numpy.full((height, width, 3), self.place["fill"], numpy.uint8)

    def _cut(self, random, width, height):
        """A picture at about the scale of the detector's, turned and stretched a little, at any place of what is asked for."""
        pixels = self._any(random)
        scale = self._ratio(pixels) * numpy.exp(random.uniform(*numpy.log(SCALES)))
        wider, angle = numpy.exp(random.uniform(-STRETCH, STRETCH)), random.normal() * TURN
        turn = numpy.array([[numpy.cos(angle), -numpy.sin(angle)], [numpy.sin(angle), numpy.cos(angle)]])
        turn = turn * scale * numpy.array([wider, 1 / wider])
        spans = numpy.abs(turn) @ pixels.shape[1::-1]
        free = numpy.array([width, height]) - spans
        centre = random.uniform(numpy.minimum(free, 0), numpy.maximum(free, 0)) + spans / 2
        move = numpy.column_stack([turn, centre - 0.5 - turn @ (numpy.array(pixels.shape[1::-1]) / 2 - 0.5)])
        around = cv2.BORDER_REFLECT_101 if random.random() < MIRRORED else cv2.BORDER_CONSTANT
        return cv2.warpAffine(pixels, move, (width, height), flags=cv2.INTER_LINEAR, borderMode=around,
                              borderValue=[self.place["fill"]] * 3)

    def _mosaic(self, random, width, height):
        canvas = self._canvas(width, height)
        x, y = (random.integers(side // 4, 3 * side // 4) for side in (width, height))
        for rows in (slice(0, y), slice(y, height)):
            for columns in (slice(0, x), slice(x, width)):
                canvas[rows, columns] = self._cut(random, columns.stop - columns.start, rows.stop - rows.start)
        return canvas

    def _tint(self, random, pixels):
        if random.random() < 0.1:
            pixels = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        gamma = numpy.exp(random.uniform(-0.4, 0.4))
        gains, shift = random.uniform(0.7, 1.3) * random.uniform(0.85, 1.15, 3), random.uniform(-25, 25)
        table = numpy.clip(255 * (numpy.arange(256)[:, None] / 255) ** gamma * gains + shift, 0, 255).astype(numpy.uint8)
        return cv2.LUT(pixels, table[None])

    def _spoil(self, random, pixels):
        """Blurred, noisy, or coarsely compressed."""
        kind = random.integers(3)
        if kind == 0:
            return cv2.GaussianBlur(pixels, (0, 0), random.uniform(0.5, 1.5))
        if kind == 1:
            noise = random.integers(-128, 128, pixels.shape, numpy.int8) * numpy.float32(random.uniform(0.02, 0.15))
            return numpy.clip(pixels + noise, 0, 255).astype(numpy.uint8)
        _, packed = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(25, 80))])
        return cv2.imdecode(packed, cv2.IMREAD_COLOR)

    def _batch(self, all_pixels):
        batch = torch.from_numpy(numpy.stack(all_pixels)).to(self.device).permute(0, 3, 1, 2)
        if self.place["channels"] == "rgb":
            batch = batch.flip(1)
        return batch.float().contiguous() * (1 / 255 if self.place["range"] == 1 else 1.0)
