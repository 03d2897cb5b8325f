// A row between its samples: by one shuffle for as many places as a processor can, all with the same result.
#include "across.h"

#include <string.h>

void sl_pack(const sl_steps *s) {
  for (int i = 0; i < s->n; i++) {
    const int32_t from = s->left[i & ~31];
    s->places[2 * i] = (uint8_t)(s->left[i] - from), s->places[2 * i + 1] = (uint8_t)(s->right[i] - from);
    s->shares[2 * i] = (uint8_t)(128 - s->part[i]), s->shares[2 * i + 1] = (uint8_t)s->part[i];
  }
}

// across_plain interpolates one row of a plane at the places from i to end.
static void across_plain(const uint8_t *restrict src, const sl_steps *s, int i, int end, int16_t *restrict dst) {
  const int32_t *restrict left = s->left, *restrict right = s->right, *restrict part = s->part;
  for (; i < end; i++) {
    int32_t a = src[left[i]], b = src[right[i]];
    dst[i] = (int16_t)((a << 7) + (b - a) * part[i] - (128 << 7));
  }
}

#if defined(__x86_64__)
#include <immintrin.h>

#define SIGHTLINE_SSSE3 __attribute__((target("ssse3")))

bool sl_vbmi(void) { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vbmi"); }

// across_block interpolates n places from i on, at most 32, whose samples are at most 128 pixels: one shuffle brings each place its two.
SIGHTLINE_VBMI
static inline void across_block(const uint8_t *src, const sl_steps *s, int i, int n, int16_t *dst) {
  const int32_t from = s->left[i], span = s->right[i + n - 1] - from + 1; // places are in order
  if (span > 128) {
    across_plain(src, s, i, i + n, dst);
    return;
  }
  src += from;
  const __mmask64 low = span < 64 ? (1ULL << span) - 1 : ~0ULL, high = span <= 64 ? 0 : span < 128 ? (1ULL << (span - 64)) - 1 : ~0ULL;
  const __mmask32 some = n < 32 ? (1U << n) - 1 : ~0U;
  const __m512i first = _mm512_maskz_loadu_epi8(low, src), second = _mm512_maskz_loadu_epi8(high, src + 64);
  const __m512i places = _mm512_sub_epi8(_mm512_maskz_loadu_epi16(some, s->places + 2 * i), _mm512_set1_epi8((char)(from - s->left[i & ~31])));
  const __m512i pairs = _mm512_xor_si512(_mm512_permutex2var_epi8(first, places, second), _mm512_set1_epi8((char)128));
  _mm512_mask_storeu_epi16(dst + i, some, _mm512_maddubs_epi16(_mm512_maskz_loadu_epi16(some, s->shares + 2 * i), pairs));
}

SIGHTLINE_VBMI
static void across_vbmi(const uint8_t *restrict src, const sl_steps *s, int16_t *restrict dst) {
  for (int i = 0; i < s->n; i += 32) {
    const int n = s->n - i < 32 ? s->n - i : 32;
    if (n <= 16 || s->right[i + n - 1] - s->left[i] < 128) {
      across_block(src, s, i, n, dst);
      continue;
    }
    across_block(src, s, i, 16, dst);
    across_block(src, s, i + 16, n - 16, dst);
  }
}

// across_eight interpolates the places from i on: where their samples are 16 pixels, one shuffle brings each place its two, else each
// fetches its own. It returns false where that would read past the row's last sample.
SIGHTLINE_SSSE3
static inline bool across_eight(const uint8_t *src, const sl_steps *s, int i, int16_t *dst) {
  const int32_t from = s->left[i];
  __m128i pairs;
  if (s->right[i + 7] - from < 16) {
    const int32_t latest = s->right[s->n - 1] - 15, start = from < latest ? from : latest;
    if (start < s->left[0]) return false;
    const __m128i places = _mm_loadu_si128((const __m128i *)(s->places + 2 * i));
    pairs = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(src + start)), _mm_sub_epi8(places, _mm_set1_epi8((char)(start - s->left[i & ~31]))));
  } else {
    if (s->right[i + 7] == s->left[i + 7]) return false; // and all before it lie beside theirs
    uint16_t two[8];
    for (int k = 0; k < 8; k++) memcpy(two + k, src + s->left[i + k], 2);
    pairs = _mm_setr_epi16((short)two[0], (short)two[1], (short)two[2], (short)two[3], (short)two[4], (short)two[5], (short)two[6], (short)two[7]);
  }
  const __m128i shares = _mm_loadu_si128((const __m128i *)(s->shares + 2 * i));
  _mm_storeu_si128((__m128i *)(dst + i), _mm_maddubs_epi16(shares, _mm_xor_si128(pairs, _mm_set1_epi8((char)128))));
  return true;
}

SIGHTLINE_SSSE3
static void across_ssse3(const uint8_t *restrict src, const sl_steps *s, int16_t *restrict dst) {
  int i = 0;
  while (i + 8 <= s->n && across_eight(src, s, i, dst)) i += 8;
  across_plain(src, s, i, s->n, dst);
}

void sl_across(const uint8_t *src, const sl_steps *s, int16_t *dst) {
  if (sl_vbmi())
    across_vbmi(src, s, dst);
  else if (__builtin_cpu_supports("ssse3"))
    across_ssse3(src, s, dst);
  else
    across_plain(src, s, 0, s->n, dst);
}
#else
bool sl_vbmi(void) { return false; }

void sl_across(const uint8_t *src, const sl_steps *s, int16_t *dst) { across_plain(src, s, 0, s->n, dst); }
#endif
