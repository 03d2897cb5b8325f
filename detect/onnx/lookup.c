// A table of 256 bytes applied to bytes: any function of one int8 tensor. A processor's shuffles look 32 to 64 bytes up at once.
#include "kernels.h"

static void lookup_plain(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	for (size_t i = 0; i < n; i++) y[i] = table[x[i]];
}

#if defined(__x86_64__)
#include <immintrin.h>

// Two shuffles over half of the table each; the highest bit of the index says which half counts.
__attribute__((target("avx512f,avx512bw,avx512vbmi"))) static void lookup_vbmi(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	const __m512i t0 = _mm512_loadu_si512(table), t1 = _mm512_loadu_si512(table + 64);
	const __m512i t2 = _mm512_loadu_si512(table + 128), t3 = _mm512_loadu_si512(table + 192);
	size_t i = 0;
	for (; i + 64 <= n; i += 64) {
		__m512i v = _mm512_loadu_si512(x + i);
		__m512i low = _mm512_permutex2var_epi8(t0, v, t1), high = _mm512_permutex2var_epi8(t2, v, t3);
		_mm512_storeu_si512(y + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high));
	}
	lookup_plain(x + i, table, y + i, n - i);
}

// Sixteen shuffles over 16 bytes of the table each: a shuffle gives 0 where the index has its highest bit set, so what belongs to
// the block k is brought into 0..15 and everything else out of it.
__attribute__((target("avx2"))) static void lookup_avx2(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	const __m256i shift = _mm256_set1_epi8(0x10), out = _mm256_set1_epi8(0x70);
	__m256i t[16];
	for (int k = 0; k < 16; k++) t[k] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 16 * k)));
	size_t i = 0;
	for (; i + 32 <= n; i += 32) {
		__m256i v = _mm256_loadu_si256((const __m256i *)(x + i)), r = _mm256_setzero_si256();
		for (int k = 0; k < 16; k++) {
			r = _mm256_or_si256(r, _mm256_shuffle_epi8(t[k], _mm256_adds_epu8(v, out)));
			v = _mm256_sub_epi8(v, shift);
		}
		_mm256_storeu_si256((__m256i *)(y + i), r);
	}
	lookup_plain(x + i, table, y + i, n - i);
}
#elif defined(__aarch64__)
#include <arm_neon.h>

static void lookup_neon(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	uint8x16x4_t t[4];
	for (int k = 0; k < 4; k++) t[k] = vld1q_u8_x4(table + 64 * k);
	const uint8x16_t step = vdupq_n_u8(64);
	size_t i = 0;
	for (; i + 16 <= n; i += 16) {
		uint8x16_t v = vld1q_u8(x + i), r = vqtbl4q_u8(t[0], v);
		for (int k = 1; k < 4; k++) r = vqtbx4q_u8(r, t[k], v = vsubq_u8(v, step));
		vst1q_u8(y + i, r);
	}
	lookup_plain(x + i, table, y + i, n - i);
}
#endif

typedef struct {
	const char *name;
	void (*look)(const uint8_t *, const uint8_t *, uint8_t *, size_t);
} variant;

// The best first.
static const variant variants[] = {
#if defined(__x86_64__)
	{"avx512vbmi", lookup_vbmi},
	{"avx2", lookup_avx2},
#elif defined(__aarch64__)
	{"neon", lookup_neon},
#endif
	{"plain", lookup_plain},
};

enum { VARIANTS = sizeof variants / sizeof *variants };

static int runs_here(int i) {
#if defined(__x86_64__)
	if (i == 0) return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi");
	if (i == 1) return __builtin_cpu_supports("avx2");
#endif
	return i < VARIANTS;
}

const char *lookup_variant(int i) { return i < VARIANTS && runs_here(i) ? variants[i].name : i < VARIANTS ? "" : NULL; }

void lookup_bytes_by(int i, const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) { variants[i].look(x, table, y, n); }

void lookup_bytes(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	int best = 0;
	while (!runs_here(best)) best++;
	variants[best].look(x, table, y, n);
}

static void channels_plain(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels) {
	for (size_t p = 0; p < pixels; p++, x += channels, y += channels) {
		const uint8_t *t = tables;
		for (size_t c = 0; c < channels; c++, t += 256) y[c] = t[x[c]];
	}
}

#if defined(__x86_64__)
#define VBMI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

// transpose turns 16 rows of 4 x 16 bytes: byte j of row i becomes byte i of row j, in each quarter.
VBMI static inline void transpose(__m512i r[16]) {
	__m512i s[16];
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 8; i++) s[2 * i] = _mm512_unpacklo_epi8(r[i], r[i + 8]), s[2 * i + 1] = _mm512_unpackhi_epi8(r[i], r[i + 8]);
		for (int i = 0; i < 16; i++) r[i] = s[i];
	}
}

// 16 channels of 64 pixels: a register for each channel, so that one table serves 64 bytes at once.
VBMI static inline void channels_block(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t channels) {
	__m512i r[16];
	for (size_t i = 0; i < 16; i++) {
		const uint8_t *from = x + i * channels;
		r[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)from));
		r[i] = _mm512_inserti32x4(r[i], _mm_loadu_si128((const __m128i *)(from + 16 * channels)), 1);
		r[i] = _mm512_inserti32x4(r[i], _mm_loadu_si128((const __m128i *)(from + 32 * channels)), 2);
		r[i] = _mm512_inserti32x4(r[i], _mm_loadu_si128((const __m128i *)(from + 48 * channels)), 3);
	}
	transpose(r);
	for (int c = 0; c < 16; c++) {
		const uint8_t *t = tables + 256 * c;
		__m512i low = _mm512_permutex2var_epi8(_mm512_loadu_si512(t), r[c], _mm512_loadu_si512(t + 64));
		__m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(t + 128), r[c], _mm512_loadu_si512(t + 192));
		r[c] = _mm512_mask_blend_epi8(_mm512_movepi8_mask(r[c]), low, high);
	}
	transpose(r);
	for (size_t i = 0; i < 16; i++) {
		uint8_t *to = y + i * channels;
		_mm_storeu_si128((__m128i *)to, _mm512_castsi512_si128(r[i]));
		_mm_storeu_si128((__m128i *)(to + 16 * channels), _mm512_extracti32x4_epi32(r[i], 1));
		_mm_storeu_si128((__m128i *)(to + 32 * channels), _mm512_extracti32x4_epi32(r[i], 2));
		_mm_storeu_si128((__m128i *)(to + 48 * channels), _mm512_extracti32x4_epi32(r[i], 3));
	}
}

VBMI static void channels_vbmi(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels) {
	size_t p = 0, whole = channels - channels % 16;
	for (; channels == whole && p + 64 <= pixels; p += 64) {
		for (size_t c = 0; c < channels; c += 16) channels_block(x + p * channels + c, tables + 256 * c, y + p * channels + c, channels);
	}
	channels_plain(x + p * channels, tables, y + p * channels, pixels - p, channels);
}
#endif

void lookup_channels(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels) {
#if defined(__x86_64__)
	if (runs_here(0) && __builtin_cpu_supports("avx512vl")) {
		channels_vbmi(x, tables, y, pixels, channels);
		return;
	}
#endif
	channels_plain(x, tables, y, pixels, channels);
}
