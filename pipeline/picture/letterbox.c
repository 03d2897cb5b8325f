#include "planes.h"

// Everything is counted in integers, so that all machines get the same levels. Shares are in 1/2048, as OpenCV's bilinear
// resizing has them; a row interpolated across is in 1/2048 of a level, colours are computed from 1/128 of a level.

// steps are the places of one direction in a row of a plane: each lies between the samples left and right, with the share part of the
// second. places and shares have them packed for across_vbmi: both numbers of a place from the left one of its block of 16 on, in 16 bits
// each, and both shares.
typedef struct {
  const int32_t *left, *right, *part;
  int32_t *places, *shares;
  int n;
} steps;

static void pack(const steps *s) {
  for (int i = 0; i < s->n; i++) {
    const int32_t from = s->left[i & ~15];
    s->places[i] = (s->left[i] - from) | (s->right[i] - from) << 16;
    s->shares[i] = (2048 - s->part[i]) | s->part[i] << 16;
  }
}

// across_plain interpolates one row of a plane at the places from i to end.
static void across_plain(const uint8_t *restrict src, const steps *s, int i, int end, int32_t *restrict dst) {
  const int32_t *restrict left = s->left, *restrict right = s->right, *restrict part = s->part;
  for (; i < end; i++) {
    int32_t a = src[left[i]], b = src[right[i]];
    dst[i] = (a << 11) + (b - a) * part[i];
  }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define SIGHTLINE_VBMI __attribute__((target("avx512f,avx512bw,avx512vbmi")))

// across16 interpolates 16 places, whose samples are at most 128 pixels from src on: one shuffle brings each place its two.
SIGHTLINE_VBMI
static inline void across16(const uint8_t *src, int span, __m512i places, __m512i shares, int32_t *dst) {
  const __mmask64 low = span < 64 ? (1ULL << span) - 1 : ~0ULL, high = span <= 64 ? 0 : span < 128 ? (1ULL << (span - 64)) - 1 : ~0ULL;
  const __m512i first = _mm512_maskz_loadu_epi8(low, src), second = _mm512_maskz_loadu_epi8(high, src + 64);
  const __m512i pairs = _mm512_maskz_permutex2var_epi8(0x5555555555555555, first, places, second);
  _mm512_storeu_si512(dst, _mm512_madd_epi16(pairs, shares));
}

SIGHTLINE_VBMI
static void across_vbmi(const uint8_t *restrict src, const steps *s, int32_t *restrict dst) {
  int i = 0;
  for (; i + 16 <= s->n; i += 16) {
    const int32_t from = s->left[i], span = s->right[i + 15] - from + 1; // places are in order
    if (span > 128)
      across_plain(src, s, i, i + 16, dst);
    else
      across16(src + from, span, _mm512_loadu_si512(s->places + i), _mm512_loadu_si512(s->shares + i), dst + i);
  }
  across_plain(src, s, i, s->n, dst);
}
#endif

static void across(const uint8_t *src, const steps *s, int32_t *dst) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi")) {
    across_vbmi(src, s, dst);
    return;
  }
#endif
  across_plain(src, s, 0, s->n, dst);
}

// A pair is the two interpolated rows that a target row lies between, kept for the next target row.
typedef struct {
  int32_t number[2];
  int32_t *row[2];
  int32_t asked; // the last row of the plane that was asked for
} pair;

// ahead is how many target rows before its turn a row is asked for: rows of a large picture lie in pages of their own, which the processor
// does not foresee, and most of them may be passed over.
enum { ahead = 2 };

static void ask(pair *p, const uint8_t *plane, int stride, int row, const steps *s) {
  if (row <= p->asked) return;
  p->asked = row;
  const uint8_t *line = plane + (int64_t)row * stride;
  const uintptr_t end = (uintptr_t)(line + s->right[s->n - 1]);
  for (uintptr_t at = (uintptr_t)(line + s->left[0]); at <= end; at += 64) __builtin_prefetch((const void *)at);
}

static void load(pair *p, const uint8_t *plane, int stride, int upper, int lower, const steps *s) {
  if (p->number[1] == upper || p->number[0] == lower) {
    pair old = *p;
    p->number[0] = old.number[1], p->row[0] = old.row[1];
    p->number[1] = old.number[0], p->row[1] = old.row[0];
  }
  const int32_t want[2] = {upper, lower};
  for (int k = 0; k < 2; k++) {
    if (p->number[k] == want[k]) continue;
    across(plane + (int64_t)want[k] * stride, s, p->row[k]);
    p->number[k] = want[k];
  }
}

static inline int32_t between(int32_t a, int32_t b, int32_t part) { return ((a << 11) + (b - a) * part + (1 << 14)) >> 15; }

// level rounds and clamps by masks: the compiler makes branches of comparisons here, and no vectors of branches.
static inline float level(int32_t v) {
  v = (v + (1 << 18)) >> 19;
  v &= ~(v >> 31);
  v |= (255 - v) >> 31;
  return (float)(v & 255);
}

// colour interpolates between two rows of each plane and turns them into RGB of whole levels, as networks saw in training.
SIGHTLINE_CLONES
static void colour(const sl_letterbox_plan *p, const int32_t *restrict y0, const int32_t *restrict y1,
                   const int32_t *restrict u0, const int32_t *restrict u1, const int32_t *restrict v0,
                   const int32_t *restrict v1, int32_t py, int32_t pc, float *restrict red, float *restrict green,
                   float *restrict blue) {
  const sl_letterbox_plan c = *p;
  for (int i = 0; i < c.inner_w; i++) {
    int32_t y = (between(y0[i], y1[i], py) - c.black) * c.y;
    int32_t u = between(u0[i], u1[i], pc) - 128 * 128;
    int32_t v = between(v0[i], v1[i], pc) - 128 * 128;
    red[i] = level(y + c.rv * v) * c.scale;
    green[i] = level(y + c.gu * u + c.gv * v) * c.scale;
    blue[i] = level(y + c.bu * u) * c.scale;
  }
}

static void fill(float *dst, int64_t n, float v) {
  for (int64_t i = 0; i < n; i++) dst[i] = v;
}

static void borders(const sl_letterbox_plan *p, float *plane) {
  int right = p->left + p->inner_w, bottom = p->top + p->inner_h;
  fill(plane, (int64_t)p->top * p->width, p->fill);
  fill(plane + (int64_t)bottom * p->width, (int64_t)(p->height - bottom) * p->width, p->fill);
  if (p->inner_w == p->width) return;
  for (int j = p->top; j < bottom; j++) {
    float *row = plane + (int64_t)j * p->width;
    fill(row, p->left, p->fill);
    fill(row + right, p->width - right, p->fill);
  }
}

void sl_letterbox(const sl_letterbox_plan *p, const uint8_t *y, const uint8_t *u, const uint8_t *v, const int32_t *at,
                  int32_t *part, float *dst) {
  int n = p->inner_w, h = p->inner_h;
  const int32_t *luma_upper = at + 4 * n, *luma_lower = luma_upper + h;
  const int32_t *chroma_upper = luma_lower + h, *chroma_lower = chroma_upper + h;
  const int32_t *luma_y = part + 2 * n, *chroma_y = luma_y + h;
  int32_t *packed = part + 2 * n + 2 * h, *rows = packed + 4 * n;
  const steps luma_x = {at, at + n, part, packed, packed + n, n};
  const steps chroma_x = {at + 2 * n, at + 3 * n, part + n, packed + 2 * n, packed + 3 * n, n};
  pack(&luma_x);
  pack(&chroma_x);
  pair py = {{-1, -1}, {rows, rows + n}, -1};
  pair pu = {{-1, -1}, {rows + 2 * n, rows + 3 * n}, -1};
  pair pv = {{-1, -1}, {rows + 4 * n, rows + 5 * n}, -1};
  int64_t area = (int64_t)p->width * p->height;
  float *red = p->rgb ? dst : dst + 2 * area, *green = dst + area, *blue = p->rgb ? dst + 2 * area : dst;
  for (int k = 0; k < 3; k++) borders(p, dst + k * area);
  for (int j = 0; j < h; j++) {
    const int next = j + ahead;
    if (next < h) {
      const int32_t luma[2] = {luma_upper[next], luma_lower[next]}, chroma[2] = {chroma_upper[next], chroma_lower[next]};
      for (int k = 0; k < 2; k++) {
        ask(&py, y, p->stride_y, luma[k], &luma_x);
        ask(&pu, u, p->stride_c, chroma[k], &chroma_x);
        ask(&pv, v, p->stride_c, chroma[k], &chroma_x);
      }
    }
    load(&py, y, p->stride_y, luma_upper[j], luma_lower[j], &luma_x);
    load(&pu, u, p->stride_c, chroma_upper[j], chroma_lower[j], &chroma_x);
    load(&pv, v, p->stride_c, chroma_upper[j], chroma_lower[j], &chroma_x);
    int64_t to = (int64_t)(p->top + j) * p->width + p->left;
    colour(p, py.row[0], py.row[1], pu.row[0], pu.row[1], pv.row[0], pv.row[1], luma_y[j], chroma_y[j], red + to, green + to,
           blue + to);
  }
}
