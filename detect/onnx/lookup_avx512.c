// Lookups of 64 bytes by shuffles that look up 128 bytes, or where there are none 64 words.
#if defined(__x86_64__)
#include "lookup.h"

#include <immintrin.h>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))
#define VBMI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

// A table is 256 bytes.
typedef struct {
	__m512i part[4];
} table_of;

AVX512 static inline table_of load(const uint8_t *table) {
	return (table_of){{_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64), _mm512_loadu_si512(table + 128), _mm512_loadu_si512(table + 192)}};
}

// words looks up the words of the table in which the bytes lie that the words of index say.
AVX512 static inline __m512i words(const table_of *t, __m512i index) {
	const __m512i at = _mm512_srli_epi16(index, 1);
	const __m512i low = _mm512_permutex2var_epi16(t->part[0], at, t->part[1]), high = _mm512_permutex2var_epi16(t->part[2], at, t->part[3]);
	return _mm512_mask_blend_epi16(_mm512_test_epi16_mask(index, _mm512_set1_epi16(0x80)), low, high);
}

// look_avx512 looks up even and odd bytes one after the other; the lowest bit of an index says which byte of the word counts.
AVX512 static inline __m512i look_avx512(const table_of *t, __m512i v) {
	const __m512i even = _mm512_and_si512(v, _mm512_set1_epi16(0xff)), odd = _mm512_srli_epi16(v, 8);
	const __m512i eight = _mm512_set1_epi16(8);
	const __m512i second = _mm512_and_si512(_mm512_slli_epi16(even, 3), eight), first = _mm512_andnot_si512(_mm512_slli_epi16(odd, 3), eight);
	const __m512i low = _mm512_srlv_epi16(words(t, even), second), high = _mm512_sllv_epi16(words(t, odd), first);
	return _mm512_mask_blend_epi8(0xaaaaaaaaaaaaaaaa, low, high);
}

// look_vbmi has two shuffles over half of the table each; the highest bit of the index says which half counts.
VBMI static inline __m512i look_vbmi(const table_of *t, __m512i v) {
	const __m512i low = _mm512_permutex2var_epi8(t->part[0], v, t->part[1]), high = _mm512_permutex2var_epi8(t->part[2], v, t->part[3]);
	return _mm512_mask_blend_epi8(_mm512_movepi8_mask(v), low, high);
}

AVX512 void lookup_avx512(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	const table_of t = load(table);
	size_t i = 0;
	for (; i + 64 <= n; i += 64) _mm512_storeu_si512(y + i, look_avx512(&t, _mm512_loadu_si512(x + i)));
	lookup_plain(x + i, table, y + i, n - i);
}

VBMI void lookup_vbmi(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	const table_of t = load(table);
	size_t i = 0;
	for (; i + 64 <= n; i += 64) _mm512_storeu_si512(y + i, look_vbmi(&t, _mm512_loadu_si512(x + i)));
	lookup_plain(x + i, table, y + i, n - i);
}

// transpose turns 16 rows of 4 x 16 bytes: byte j of row i becomes byte i of row j, in each quarter.
AVX512 static inline void transpose(__m512i r[16]) {
	__m512i s[16];
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 8; i++) s[2 * i] = _mm512_unpacklo_epi8(r[i], r[i + 8]), s[2 * i + 1] = _mm512_unpackhi_epi8(r[i], r[i + 8]);
		for (int i = 0; i < 16; i++) r[i] = s[i];
	}
}

// gather brings 16 channels of 64 pixels into a register each, so that one table serves 64 bytes at once.
AVX512 static inline void gather(const uint8_t *x, size_t channels, __m512i r[16]) {
	for (size_t i = 0; i < 16; i++) {
		const uint8_t *from = x + i * channels;
		r[i] = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)from));
		r[i] = _mm512_inserti32x4(r[i], _mm_loadu_si128((const __m128i *)(from + 16 * channels)), 1);
		r[i] = _mm512_inserti32x4(r[i], _mm_loadu_si128((const __m128i *)(from + 32 * channels)), 2);
		r[i] = _mm512_inserti32x4(r[i], _mm_loadu_si128((const __m128i *)(from + 48 * channels)), 3);
	}
	transpose(r);
}

AVX512 static inline void scatter(__m512i r[16], size_t channels, uint8_t *y) {
	transpose(r);
	for (size_t i = 0; i < 16; i++) {
		uint8_t *to = y + i * channels;
		_mm_storeu_si128((__m128i *)to, _mm512_castsi512_si128(r[i]));
		_mm_storeu_si128((__m128i *)(to + 16 * channels), _mm512_extracti32x4_epi32(r[i], 1));
		_mm_storeu_si128((__m128i *)(to + 32 * channels), _mm512_extracti32x4_epi32(r[i], 2));
		_mm_storeu_si128((__m128i *)(to + 48 * channels), _mm512_extracti32x4_epi32(r[i], 3));
	}
}

AVX512 void lookup_block_avx512(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t channels) {
	__m512i r[16];
	gather(x, channels, r);
	for (int c = 0; c < 16; c++) {
		const table_of t = load(tables + 256 * c);
		r[c] = look_avx512(&t, r[c]);
	}
	scatter(r, channels, y);
}

VBMI void lookup_block_vbmi(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t channels) {
	__m512i r[16];
	gather(x, channels, r);
	for (int c = 0; c < 16; c++) {
		const table_of t = load(tables + 256 * c);
		r[c] = look_vbmi(&t, r[c]);
	}
	scatter(r, channels, y);
}
#endif
