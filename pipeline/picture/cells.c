#include "planes.h"

#include <math.h>

#define CELL 16     // pixels a side
#define ROW_EVERY 4 // rows of them that are read

#if defined(__x86_64__)
#include <emmintrin.h>

static inline unsigned sum16(const uint8_t *p) {
  const __m128i s = _mm_sad_epu8(_mm_loadu_si128((const __m128i *)p), _mm_setzero_si128());
  return (unsigned)(_mm_cvtsi128_si32(s) + _mm_extract_epi16(s, 4));
}
#else
static inline unsigned sum16(const uint8_t *p) {
  unsigned s = 0;
  for (int i = 0; i < CELL; i++) s += p[i];
  return s;
}
#endif

void sl_cell_means(const uint8_t *luma, int stride, int columns, int rows, uint8_t *means) {
  enum { READ = CELL / ROW_EVERY, PIXELS = CELL * READ };
  for (int r = 0; r < rows; r++) {
    const uint8_t *at = luma + (int64_t)r * CELL * stride;
    for (int c = 0; c < columns; c++, at += CELL) {
      unsigned sum = PIXELS / 2;
      for (int k = 0; k < READ; k++) sum += sum16(at + (int64_t)k * ROW_EVERY * stride);
      *means++ = (uint8_t)(sum / PIXELS);
    }
  }
}

SIGHTLINE_CLONES
void sl_cell_changes(const uint8_t *restrict means, float *restrict background, bool *restrict changed, int n, float shift, float threshold,
                     float follow) {
  for (int i = 0; i < n; i++) {
    const float d = (float)means[i] - background[i];
    changed[i] = fabsf(d - shift) > threshold;
    background[i] += follow * d;
  }
}
