"""Unlabelled pictures, brought to a network's input as the card of the model says, plainly or varied for training."""

import pathlib

import cv2
import numpy
import torch

SUFFIXES = {".jpg", ".jpeg", ".png"}
KEPT_BYTES = 1 << 30  # of decoded pictures; more are decoded anew whenever they are looked at


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

    place is the `input` part of a sightline card: width, height, channels, range, place, fill.
    """

    def __init__(self, paths, place):
        self.paths, self.place, self.kept, self.bytes = list(paths), place, {}, 0

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
        """Random pictures: half of them as the detector sees them, half cut and mixed at about that scale; mirrored and tinted."""
        return self._batch([self._one(random) for _ in range(count)])

    def _one(self, random):
        kind, size = random.random(), (self.place["width"], self.place["height"])
        if kind < 0.5:
            pixels = self._letterbox(self._any(random))
        else:
            pixels = self._cut(random, *size) if kind < 0.75 else self._mosaic(random, *size)
        return pixels if random.random() < 0.5 else self._tint(random, pixels)

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
        pixels = self._any(random)
        scale = self._ratio(pixels) * numpy.exp(random.uniform(numpy.log(0.5), numpy.log(1.25)))
        free = width - pixels.shape[1] * scale, height - pixels.shape[0] * scale
        left, top = (random.uniform(min(f, 0), max(f, 0)) for f in free)
        move = numpy.array([[scale, 0, left + scale / 2 - 0.5], [0, scale, top + scale / 2 - 0.5]])
        return cv2.warpAffine(pixels, move, (width, height), flags=cv2.INTER_LINEAR, borderValue=[self.place["fill"]] * 3)

    def _mosaic(self, random, width, height):
        canvas = self._canvas(width, height)
        x, y = (random.integers(side // 4, 3 * side // 4) for side in (width, height))
        for rows in (slice(0, y), slice(y, height)):
            for columns in (slice(0, x), slice(x, width)):
                canvas[rows, columns] = self._cut(random, columns.stop - columns.start, rows.stop - rows.start)
        return canvas

    def _tint(self, random, pixels):
        gains, shift = random.uniform(0.8, 1.2) * random.uniform(0.95, 1.05, 3), random.uniform(-20, 20)
        table = numpy.clip(numpy.arange(256)[:, None] * gains + shift, 0, 255).astype(numpy.uint8)
        return cv2.LUT(pixels, table[None])

    def _batch(self, all_pixels):
        batch = torch.from_numpy(numpy.stack(all_pixels)).permute(0, 3, 1, 2)
        if self.place["channels"] == "rgb":
            batch = batch.flip(1)
        return batch.float().contiguous() * (1 / 255 if self.place["range"] == 1 else 1.0)
