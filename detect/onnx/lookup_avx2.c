// Lookups of 32 bytes by shuffles that look up 16.
#if defined(__x86_64__)
#include "lookup.h"

#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

// look looks up two registers in one table. A shuffle gives 0 where the index has its highest bit set, else what the lowest four bits say.
// So 16 is taken off the indices from step to step, down to -128 and no further, and what a step gives is told from the steps before it:
// of all that are not negative yet the sum of differences is what the last of them has. The other half of the table has the other indices.
AVX2 static inline void look(const uint8_t *table, __m256i *a, __m256i *b) {
	const __m256i step = _mm256_set1_epi8(16), other = _mm256_set1_epi8((char)0x80);
	__m256i ra = _mm256_setzero_si256(), rb = ra, va = *a, vb = *b;
	for (int half = 0; half < 2; half++) {
		__m256i before = _mm256_setzero_si256(), ia = va, ib = vb;
		for (int k = 0; k < 8; k++) {
			const __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(table + 128 * half + 16 * k)));
			const __m256i change = _mm256_xor_si256(t, before);
			before = t;
			ra = _mm256_xor_si256(ra, _mm256_shuffle_epi8(change, ia)), rb = _mm256_xor_si256(rb, _mm256_shuffle_epi8(change, ib));
			ia = _mm256_subs_epi8(ia, step), ib = _mm256_subs_epi8(ib, step);
		}
		va = _mm256_xor_si256(va, other), vb = _mm256_xor_si256(vb, other);
	}
	*a = ra, *b = rb;
}

AVX2 void lookup_avx2(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	size_t i = 0;
	for (; i + 64 <= n; i += 64) {
		__m256i a = _mm256_loadu_si256((const __m256i *)(x + i)), b = _mm256_loadu_si256((const __m256i *)(x + i + 32));
		look(table, &a, &b);
		_mm256_storeu_si256((__m256i *)(y + i), a);
		_mm256_storeu_si256((__m256i *)(y + i + 32), b);
	}
	lookup_plain(x + i, table, y + i, n - i);
}

// transpose turns 16 rows of 2 x 16 bytes: byte j of row i becomes byte i of row j, in each half.
AVX2 static inline void transpose(__m256i r[16]) {
	__m256i s[16];
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 8; i++) s[2 * i] = _mm256_unpacklo_epi8(r[i], r[i + 8]), s[2 * i + 1] = _mm256_unpackhi_epi8(r[i], r[i + 8]);
		for (int i = 0; i < 16; i++) r[i] = s[i];
	}
}

// gather brings 16 channels of 32 pixels into a register each.
AVX2 static inline void gather(const uint8_t *x, size_t channels, __m256i r[16]) {
	for (size_t i = 0; i < 16; i++) {
		const __m128i low = _mm_loadu_si128((const __m128i *)(x + i * channels)), high = _mm_loadu_si128((const __m128i *)(x + (16 + i) * channels));
		r[i] = _mm256_inserti128_si256(_mm256_castsi128_si256(low), high, 1);
	}
	transpose(r);
}

AVX2 static inline void scatter(__m256i r[16], size_t channels, uint8_t *y) {
	transpose(r);
	for (size_t i = 0; i < 16; i++) {
		_mm_storeu_si128((__m128i *)(y + i * channels), _mm256_castsi256_si128(r[i]));
		_mm_storeu_si128((__m128i *)(y + (16 + i) * channels), _mm256_extracti128_si256(r[i], 1));
	}
}

AVX2 void lookup_block_avx2(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t channels) {
	__m256i a[16], b[16];
	gather(x, channels, a);
	gather(x + 32 * channels, channels, b);
	for (int c = 0; c < 16; c++) look(tables + 256 * c, &a[c], &b[c]);
	scatter(a, channels, y);
	scatter(b, channels, y + 32 * channels);
}
#endif
