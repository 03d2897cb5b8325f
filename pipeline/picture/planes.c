#include "planes.h"

static inline uint8_t clamp8(int32_t v) { return v < 0 ? 0 : v > 255 ? 255 : v; }

SIGHTLINE_CLONES
static void convert_chroma(const sl_to_jpeg *m, const uint8_t *restrict u, const uint8_t *restrict v, int n,
                           uint8_t *restrict tu, uint8_t *restrict tv, int32_t *restrict row) {
  const sl_to_jpeg c = *m;
  for (int i = 0; i < n; i++) {
    int32_t a = u[i] - 128, b = v[i] - 128;
    tu[i] = clamp8((c.uu * a + c.uv * b + c.c0) >> 14);
    tv[i] = clamp8((c.vu * a + c.vv * b + c.c0) >> 14);
    int32_t luma = c.yu * a + c.yv * b + c.y0;
    row[2 * i] = luma;
    row[2 * i + 1] = luma;
  }
}

SIGHTLINE_CLONES
static void convert_luma(int32_t yy, const uint8_t *restrict y, const int32_t *restrict row, int n, uint8_t *restrict ty) {
  for (int i = 0; i < n; i++) ty[i] = clamp8((yy * y[i] + row[i]) >> 14);
}

void sl_convert(const sl_to_jpeg *m, int w, int h, const uint8_t *y, const uint8_t *u, const uint8_t *v, int stride_y,
                int stride_c, uint8_t *ty, uint8_t *tu, uint8_t *tv, int tstride_y, int tstride_c, int32_t *row) {
  int cw = (w + 1) / 2, ch = (h + 1) / 2;
  for (int j = 0; j < ch; j++) {
    convert_chroma(m, u + (int64_t)j * stride_c, v + (int64_t)j * stride_c, cw, tu + (int64_t)j * tstride_c,
                   tv + (int64_t)j * tstride_c, row);
    for (int k = 0; k < 2; k++) {
      int from = 2 * j + k < h ? 2 * j + k : h - 1;
      uint8_t *to = ty + (int64_t)(2 * j + k) * tstride_y;
      convert_luma(m->yy, y + (int64_t)from * stride_y, row, w, to);
      if (w & 1) to[w] = to[w - 1];
    }
  }
}

// mean_row averages two rows, and pairs of pixels where across is 2; the pair of an odd last pixel is that pixel twice.
SIGHTLINE_CLONES
static void mean_row(const uint8_t *restrict a, const uint8_t *restrict b, int w, uint8_t *restrict dst, int tw, int across) {
  if (across == 1) {
    for (int i = 0; i < tw; i++) dst[i] = (a[i] + b[i] + 1) >> 1;
    return;
  }
  int pairs = w / 2 < tw ? w / 2 : tw;
  for (int i = 0; i < pairs; i++) dst[i] = (a[2 * i] + a[2 * i + 1] + b[2 * i] + b[2 * i + 1] + 2) >> 2;
  for (int i = pairs; i < tw; i++) dst[i] = (a[w - 1] + b[w - 1] + 1) >> 1;
}

void sl_chroma(const uint8_t *src, int w, int h, int stride, uint8_t *dst, int tw, int th, int tstride, int across, int down) {
  for (int j = 0; j < th; j++) {
    int upper = j * down < h ? j * down : h - 1;
    int lower = upper + down - 1 < h ? upper + down - 1 : h - 1;
    const uint8_t *a = src + (int64_t)upper * stride, *b = src + (int64_t)lower * stride;
    uint8_t *to = dst + (int64_t)j * tstride;
    if (across > 0) {
      mean_row(a, b, w, to, tw, across);
    } else {
      for (int i = 0; i < tw; i++) to[i] = (a[i / 2] + b[i / 2] + 1) >> 1;
    }
  }
}

void sl_from_rgb(const uint8_t *rgb, int stride, int bytes, int w, int h, uint8_t *y, uint8_t *u, uint8_t *v, int stride_y,
                 int stride_c) {
  for (int j = 0; j < h; j++) {
    const uint8_t *p = rgb + (int64_t)j * stride;
    for (int i = 0; i < w; i++, p += bytes)
      y[(int64_t)j * stride_y + i] = (19595 * p[0] + 38470 * p[1] + 7471 * p[2] + 32768) >> 16;
  }
  for (int j = 0; j < (h + 1) / 2; j++) {
    const uint8_t *a = rgb + (int64_t)(2 * j) * stride, *b = 2 * j + 1 < h ? a + stride : a;
    for (int i = 0; i < (w + 1) / 2; i++) {
      int l = 2 * i * bytes, r = 2 * i + 1 < w ? l + bytes : l;
      int red = a[l] + a[r] + b[l] + b[r], green = a[l + 1] + a[r + 1] + b[l + 1] + b[r + 1];
      int blue = a[l + 2] + a[r + 2] + b[l + 2] + b[r + 2];
      u[(int64_t)j * stride_c + i] = clamp8((-11058 * red - 21710 * green + 32768 * blue + (128 << 18) + (1 << 17)) >> 18);
      v[(int64_t)j * stride_c + i] = clamp8((32768 * red - 27439 * green - 5329 * blue + (128 << 18) + (1 << 17)) >> 18);
    }
  }
}
