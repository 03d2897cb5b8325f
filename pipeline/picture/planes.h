// Loops over planes. Pointers are to the first pixel, strides are bytes from row to row.
#ifndef SIGHTLINE_PICTURE_PLANES_H
#define SIGHTLINE_PICTURE_PLANES_H

#include <stdbool.h>
#include <stdint.h>

// SIGHTLINE_CLONES compiles a function once for each width of vectors and chooses when the program is loaded. It needs
// indirect functions, which glibc has.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SIGHTLINE_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define SIGHTLINE_CLONES
#endif

typedef struct {
  int32_t yy, yu, yv, y0, uu, uv, vu, vv, c0;
} sl_to_jpeg;

// sl_convert writes a w by h picture in the colours of JPEG. The target's sides are rounded up to even numbers, the last
// column and row repeated. row is scratch for w+1 numbers.
void sl_convert(const sl_to_jpeg *m, int w, int h, const uint8_t *y, const uint8_t *u, const uint8_t *v, int stride_y,
                int stride_c, uint8_t *ty, uint8_t *tu, uint8_t *tv, int tstride_y, int tstride_c, int32_t *row);

// sl_chroma turns a chroma plane of w by h into one of tw by th. across and down say how many source pixels one target
// pixel covers: 1 or 2, or -2 for half a pixel.
void sl_chroma(const uint8_t *src, int w, int h, int stride, uint8_t *dst, int tw, int th, int tstride, int across, int down);

// sl_from_rgb turns interleaved RGB of 3 or 4 bytes a pixel into full-range BT.601.
void sl_from_rgb(const uint8_t *rgb, int stride, int bytes, int w, int h, uint8_t *y, uint8_t *u, uint8_t *v, int stride_y,
                 int stride_c);

// sl_cell_means gives the mean luma of each cell of 16 by 16 pixels, of one row of it in four.
void sl_cell_means(const uint8_t *luma, int stride, int columns, int rows, uint8_t *means);

// sl_cell_changes tells which of n cells differ by more than threshold from what they used to be and the shift of all, and lets what they
// used to be follow by a part of the difference.
void sl_cell_changes(const uint8_t *means, float *background, bool *changed, int n, float shift, float threshold, float follow);

// sl_letterbox_plan is what one picture and one network ask for. It holds no pointers, so that Go memory can carry it.
typedef struct {
  int32_t stride_y, stride_c;
  int32_t width, height;               // of the network's input
  int32_t left, top, inner_w, inner_h; // where the picture lies in it
  int32_t rgb;                         // order of the target's planes
  int16_t y, rv, gu, gv, bu;           // colour coefficients, of luma in 1/16384, else in 1/8192
  int16_t base;                        // what is added to luma of 128 less, in 1/64 of a level, with the half that rounds
  uint8_t fill;                        // level of the border
  float scale;                         // a number is a level times this
} sl_letterbox_plan;

// sl_letterbox fills a planar input, as numbers or as levels: the other one is NULL.
// at: offsets in their rows or planes of the two samples that each target pixel lies between, inner_w numbers for each of luma
// left, luma right, chroma left, chroma right, then inner_h row numbers for each of luma upper, lower, chroma upper, lower.
// part: the share of the second sample, inner_w of luma and inner_w of chroma in 1/128, then inner_h of each in 1/32768.
// scratch: 23 bytes for each of inner_w.
void sl_letterbox(const sl_letterbox_plan *p, const uint8_t *y, const uint8_t *u, const uint8_t *v, const int32_t *at, const int32_t *part,
                  uint8_t *scratch, float *numbers, uint8_t *levels);

#endif
