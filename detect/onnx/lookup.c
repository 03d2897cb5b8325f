// A table of 256 bytes applied to bytes: any function of one int8 tensor. A processor's shuffles look 16 to 64 bytes up at once.
#include "lookup.h"

#include "kernels.h"

void lookup_plain(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) {
	for (size_t i = 0; i < n; i++) y[i] = table[x[i]];
}

static void channels_plain(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels) {
	for (size_t p = 0; p < pixels; p++, x += channels, y += channels) {
		const uint8_t *t = tables;
		for (size_t c = 0; c < channels; c++, t += 256) y[c] = t[x[c]];
	}
}

#if defined(__aarch64__)
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
	lookup_block *block; // NULL: byte by byte
} variant;

// The best first.
static const variant variants[] = {
#if defined(__x86_64__)
	{"avx512vbmi", lookup_vbmi, lookup_block_vbmi},
	{"avx512", lookup_avx512, lookup_block_avx512},
	{"avx2", lookup_avx2, lookup_block_avx2},
#elif defined(__aarch64__)
	{"neon", lookup_neon, NULL},
#endif
	{"plain", lookup_plain, NULL},
};

enum { VARIANTS = sizeof variants / sizeof *variants };

static int runs_here(int i) {
#if defined(__x86_64__)
	const int avx512 = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
	if (i == 0) return avx512 && __builtin_cpu_supports("avx512vbmi");
	if (i == 1) return avx512;
	if (i == 2) return __builtin_cpu_supports("avx2");
#endif
	return i < VARIANTS;
}

static int best(void) {
	int i = 0;
	while (!runs_here(i)) i++;
	return i;
}

const char *lookup_variant(int i) { return i < VARIANTS && runs_here(i) ? variants[i].name : i < VARIANTS ? "" : NULL; }

void lookup_bytes_by(int i, const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) { variants[i].look(x, table, y, n); }

void lookup_bytes(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n) { lookup_bytes_by(best(), x, table, y, n); }

void lookup_channels_by(int i, const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels) {
	lookup_block *block = channels % LOOKUP_CHANNELS ? NULL : variants[i].block;
	size_t p = 0;
	for (; block && p + LOOKUP_PIXELS <= pixels; p += LOOKUP_PIXELS) {
		for (size_t c = 0; c < channels; c += LOOKUP_CHANNELS) block(x + p * channels + c, tables + 256 * c, y + p * channels + c, channels);
	}
	channels_plain(x + p * channels, tables, y + p * channels, pixels - p, channels);
}

void lookup_channels(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t pixels, size_t channels) {
	lookup_channels_by(best(), x, tables, y, pixels, channels);
}
