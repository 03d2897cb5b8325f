// Operators of our own inside onnxruntime: what its library lacks for int8 networks.
#ifndef SIGHTLINE_KERNELS_H
#define SIGHTLINE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// Adds the operators to session options of the loaded library at path. Returns NULL, or what went wrong (a static text).
const char *kernels_add(const char *path, void *session_options);

// y[i] = table[x[i]] for n bytes; x and y may be the same.
void lookup_bytes(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);

// y[i] = tables[i % channels][x[i]] for pixels of that many channels: a table of 256 bytes for each channel. x and y may be the same.
void lookup_channels(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels);

// Both by one variant, for tests. Its name is "" where this processor cannot run it, NULL behind the last one.
const char *lookup_variant(int i);
void lookup_bytes_by(int i, const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);
void lookup_channels_by(int i, const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels);

// The first convolution of a network.
enum { STEM_KERNEL = 8 }; // rows of a kernel at most

typedef struct {
	size_t channels, height, width, outputs; // of the picture; outputs is a multiple of 16
	size_t kernel[2], strides[2], pads[4];   // height and width; top, left, bottom, right
	const int8_t *weights;                   // [outputs/16][height][width][16][4], the channels padded with 0
	const float *factors, *bias;             // of each output: level = sum * factor + bias
	const uint8_t *table;                    // the network's level of each level of the picture; NULL: the same
} stem;

// Whether this processor can run it.
int stem_supported(void);

// The output's height (0) or width (1).
static inline size_t stem_size(const stem *s, int i) {
	return ((i ? s->width : s->height) + s->pads[i] + s->pads[i + 2] - s->kernel[i]) / s->strides[i] + 1;
}

// Bytes of buffer that a run needs.
size_t stem_rows_bytes(const stem *s);

// x [channels, height, width] to y [height, width, outputs]. Padding is of level 0.
void stem_run(const stem *s, const uint8_t *x, uint8_t *buffer, uint8_t *y);

#endif
