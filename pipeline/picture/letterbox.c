#include "planes.h"

#include <string.h>

#include "across.h"

// Everything is counted in integers, so that all machines get the same levels, and in 16 bits, so that a vector holds many. A row
// interpolated across is in 1/128 of a level and has 128 taken off, as chroma wants it; colours are summed in 1/64 of a level.

// A pair is the two interpolated rows that a target row lies between, kept for the next target row.
typedef struct {
  int32_t number[2];
  int16_t *row[2];
  int32_t asked; // the last row of the plane that was asked for
} pair;

// ahead is how many target rows before its turn a row is asked for: rows of a large picture lie in pages of their own, which the processor
// does not foresee, and most of them may be passed over.
enum { ahead = 2 };

static void ask(pair *p, const uint8_t *plane, int stride, int row, const sl_steps *s) {
  if (row <= p->asked) return;
  p->asked = row;
  const uint8_t *line = plane + (int64_t)row * stride;
  const uintptr_t end = (uintptr_t)(line + s->right[s->n - 1]);
  for (uintptr_t at = (uintptr_t)(line + s->left[0]); at <= end; at += 64) __builtin_prefetch((const void *)at);
}

// load makes both rows; where they are one, the second has no share, and stays what it is.
static void load(pair *p, const uint8_t *plane, int stride, int upper, int lower, const sl_steps *s) {
  if (p->number[0] != upper && (p->number[1] == upper || p->number[0] == lower)) {
    pair old = *p;
    p->number[0] = old.number[1], p->row[0] = old.row[1];
    p->number[1] = old.number[0], p->row[1] = old.row[0];
  }
  const int32_t want[2] = {upper, lower};
  for (int k = 0; k < 1 + (lower != upper); k++) {
    if (p->number[k] == want[k]) continue;
    sl_across(plane + (int64_t)want[k] * stride, s, p->row[k]);
    p->number[k] = want[k];
  }
}

// A strip is a target row before it has colours: of each plane the rows above and below it, and the share of the lower one in 1/32768.
typedef struct {
  const int16_t *y[2], *u[2], *v[2];
  int16_t luma, chroma;
} strip;

// times is the product of two numbers of 16 bits in 1/32768, rounded.
static inline int16_t times(int16_t a, int16_t b) { return (int16_t)((((a * b) >> 14) + 1) >> 1); }

// level rounds and clamps by masks: the compiler makes branches of comparisons here, and no vectors of branches.
static inline uint8_t level(int32_t v) {
  v >>= 6;
  v &= ~(v >> 31);
  v |= (255 - v) >> 31;
  return (uint8_t)v;
}

// colour_plain turns a strip, from i on, into RGB of whole levels, as networks saw in training.
SIGHTLINE_CLONES
static void colour_plain(const sl_letterbox_plan *p, const strip *s, int i, uint8_t *restrict red, uint8_t *restrict green, uint8_t *restrict blue) {
  const sl_letterbox_plan c = *p;
  const strip r = *s;
  for (; i < c.inner_w; i++) {
    const int16_t y = (int16_t)(r.y[0][i] + times((int16_t)(r.y[1][i] - r.y[0][i]), r.luma));
    const int16_t u = (int16_t)(2 * (r.u[0][i] + times((int16_t)(r.u[1][i] - r.u[0][i]), r.chroma)));
    const int16_t v = (int16_t)(2 * (r.v[0][i] + times((int16_t)(r.v[1][i] - r.v[0][i]), r.chroma)));
    const int32_t luma = times(y, c.y) + c.base;
    red[i] = level(luma + times(v, c.rv));
    green[i] = level(luma + times(u, c.gu) + times(v, c.gv));
    blue[i] = level(luma + times(u, c.bu));
  }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define SIGHTLINE_AVX2 __attribute__((target("avx2")))

SIGHTLINE_VBMI
static inline __m512i between_32(const int16_t *const *rows, int i, __m512i part) {
  const __m512i upper = _mm512_loadu_si512(rows[0] + i), lower = _mm512_loadu_si512(rows[1] + i);
  return _mm512_add_epi16(upper, _mm512_mulhrs_epi16(_mm512_sub_epi16(lower, upper), part));
}

SIGHTLINE_VBMI
static inline void store_32(__m512i sum, uint8_t *to) {
  const __m512i whole = _mm512_max_epi16(_mm512_srai_epi16(sum, 6), _mm512_setzero_si512());
  _mm256_storeu_si256((__m256i *)to, _mm512_cvtusepi16_epi8(whole));
}

// colour_vbmi is colour_plain for as many blocks of 32 as there are; it returns where it stopped.
SIGHTLINE_VBMI
static int colour_vbmi(const sl_letterbox_plan *p, const strip *s, uint8_t *red, uint8_t *green, uint8_t *blue) {
  const __m512i cy = _mm512_set1_epi16(p->y), base = _mm512_set1_epi16(p->base), luma = _mm512_set1_epi16(s->luma), chroma = _mm512_set1_epi16(s->chroma);
  const __m512i rv = _mm512_set1_epi16(p->rv), gu = _mm512_set1_epi16(p->gu), gv = _mm512_set1_epi16(p->gv), bu = _mm512_set1_epi16(p->bu);
  int i = 0;
  for (; i + 32 <= p->inner_w; i += 32) {
    const __m512i y = _mm512_add_epi16(_mm512_mulhrs_epi16(between_32(s->y, i, luma), cy), base);
    const __m512i u = _mm512_slli_epi16(between_32(s->u, i, chroma), 1), v = _mm512_slli_epi16(between_32(s->v, i, chroma), 1);
    store_32(_mm512_adds_epi16(y, _mm512_mulhrs_epi16(v, rv)), red + i);
    store_32(_mm512_adds_epi16(y, _mm512_add_epi16(_mm512_mulhrs_epi16(u, gu), _mm512_mulhrs_epi16(v, gv))), green + i);
    store_32(_mm512_adds_epi16(y, _mm512_mulhrs_epi16(u, bu)), blue + i);
  }
  return i;
}

SIGHTLINE_AVX2
static inline __m256i between_16(const int16_t *const *rows, int i, __m256i part) {
  const __m256i upper = _mm256_loadu_si256((const __m256i *)(rows[0] + i)), lower = _mm256_loadu_si256((const __m256i *)(rows[1] + i));
  return _mm256_add_epi16(upper, _mm256_mulhrs_epi16(_mm256_sub_epi16(lower, upper), part));
}

SIGHTLINE_AVX2
static inline void store_16(__m256i sum, uint8_t *to) {
  const __m256i whole = _mm256_srai_epi16(sum, 6);
  _mm_storeu_si128((__m128i *)to, _mm_packus_epi16(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1)));
}

// colour_avx2 is colour_plain for as many blocks of 16 as there are; it returns where it stopped.
SIGHTLINE_AVX2
static int colour_avx2(const sl_letterbox_plan *p, const strip *s, uint8_t *red, uint8_t *green, uint8_t *blue) {
  const __m256i cy = _mm256_set1_epi16(p->y), base = _mm256_set1_epi16(p->base), luma = _mm256_set1_epi16(s->luma), chroma = _mm256_set1_epi16(s->chroma);
  const __m256i rv = _mm256_set1_epi16(p->rv), gu = _mm256_set1_epi16(p->gu), gv = _mm256_set1_epi16(p->gv), bu = _mm256_set1_epi16(p->bu);
  int i = 0;
  for (; i + 16 <= p->inner_w; i += 16) {
    const __m256i y = _mm256_add_epi16(_mm256_mulhrs_epi16(between_16(s->y, i, luma), cy), base);
    const __m256i u = _mm256_slli_epi16(between_16(s->u, i, chroma), 1), v = _mm256_slli_epi16(between_16(s->v, i, chroma), 1);
    store_16(_mm256_adds_epi16(y, _mm256_mulhrs_epi16(v, rv)), red + i);
    store_16(_mm256_adds_epi16(y, _mm256_add_epi16(_mm256_mulhrs_epi16(u, gu), _mm256_mulhrs_epi16(v, gv))), green + i);
    store_16(_mm256_adds_epi16(y, _mm256_mulhrs_epi16(u, bu)), blue + i);
  }
  return i;
}

static int colour_vectors(const sl_letterbox_plan *p, const strip *s, uint8_t *red, uint8_t *green, uint8_t *blue) {
  if (sl_vbmi()) return colour_vbmi(p, s, red, green, blue);
  return __builtin_cpu_supports("avx2") ? colour_avx2(p, s, red, green, blue) : 0;
}
#else
static int colour_vectors(const sl_letterbox_plan *p, const strip *s, uint8_t *red, uint8_t *green, uint8_t *blue) {
  return (void)p, (void)s, (void)red, (void)green, (void)blue, 0;
}
#endif

static void colour(const sl_letterbox_plan *p, const strip *s, uint8_t *red, uint8_t *green, uint8_t *blue) {
  const int done = colour_vectors(p, s, red, green, blue);
  if (done < p->inner_w) colour_plain(p, s, done, red, green, blue);
}

SIGHTLINE_CLONES
static void widen(const uint8_t *restrict levels, int n, float scale, float *restrict to) {
  for (int i = 0; i < n; i++) to[i] = (float)levels[i] * scale;
}

// A target is one plane of the network's input, as numbers or as levels: the other one is NULL.
typedef struct {
  float *numbers;
  uint8_t *levels;
} target;

static void fill(const sl_letterbox_plan *p, const target *t, int64_t at, int64_t n) {
  if (t->levels) {
    memset(t->levels + at, p->fill, (size_t)n);
    return;
  }
  const float v = (float)p->fill * p->scale;
  for (int64_t i = at; i < at + n; i++) t->numbers[i] = v;
}

static void borders(const sl_letterbox_plan *p, const target *t) {
  int right = p->left + p->inner_w, bottom = p->top + p->inner_h;
  fill(p, t, 0, (int64_t)p->top * p->width);
  fill(p, t, (int64_t)bottom * p->width, (int64_t)(p->height - bottom) * p->width);
  if (p->inner_w == p->width) return;
  for (int j = p->top; j < bottom; j++) {
    fill(p, t, (int64_t)j * p->width, p->left);
    fill(p, t, (int64_t)j * p->width + right, p->width - right);
  }
}

// write puts the colours of a strip into the planes from a place on, by way of row where they are numbers.
static void write(const sl_letterbox_plan *p, const strip *s, const target *t, int64_t at, uint8_t *row) {
  const int n = p->inner_w;
  if (t->levels) {
    colour(p, s, t[0].levels + at, t[1].levels + at, t[2].levels + at);
    return;
  }
  colour(p, s, row, row + n, row + 2 * n);
  for (int k = 0; k < 3; k++) widen(row + k * n, n, p->scale, t[k].numbers + at);
}

void sl_letterbox(const sl_letterbox_plan *p, const uint8_t *y, const uint8_t *u, const uint8_t *v, const int32_t *at, const int32_t *part,
                  uint8_t *scratch, float *numbers, uint8_t *levels) {
  const int n = p->inner_w, h = p->inner_h;
  const int32_t *luma_upper = at + 4 * n, *luma_lower = luma_upper + h;
  const int32_t *chroma_upper = luma_lower + h, *chroma_lower = chroma_upper + h;
  const int32_t *luma_y = part + 2 * n, *chroma_y = luma_y + h;
  int16_t *rows = (int16_t *)scratch;
  uint8_t *bytes = scratch + 12 * (int64_t)n;
  const sl_steps luma_x = {at, at + n, part, bytes, bytes + 2 * n, n};
  const sl_steps chroma_x = {at + 2 * n, at + 3 * n, part + n, bytes + 4 * n, bytes + 6 * n, n};
  sl_pack(&luma_x);
  sl_pack(&chroma_x);
  pair py = {{-1, -1}, {rows, rows + n}, -1};
  pair pu = {{-1, -1}, {rows + 2 * n, rows + 3 * n}, -1};
  pair pv = {{-1, -1}, {rows + 4 * n, rows + 5 * n}, -1};
  target t[3];
  for (int k = 0; k < 3; k++) {
    const int64_t from = (int64_t)p->width * p->height * (p->rgb ? k : 2 - k);
    t[k] = (target){numbers ? numbers + from : NULL, levels ? levels + from : NULL};
    borders(p, &t[k]);
  }
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
    const strip s = {{py.row[0], py.row[1]}, {pu.row[0], pu.row[1]}, {pv.row[0], pv.row[1]}, (int16_t)luma_y[j], (int16_t)chroma_y[j]};
    write(p, &s, t, (int64_t)(p->top + j) * p->width + p->left, bytes + 8 * n);
  }
}
