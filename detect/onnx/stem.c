// The first convolution of a network in int8, straight from the picture's planes to levels with channels last. onnxruntime wants them as
// floats, four times the memory, and makes a matrix of every patch first, which for three channels takes longer than the float convolution.
#include "kernels.h"

#include <stdlib.h>
#include <string.h>

static size_t stride_of(const stem *s) { return (s->width + s->pads[1] + s->pads[3]) * 4; }

size_t stem_rows_bytes(const stem *s) { return s->kernel[0] * stride_of(s) + 3 * s->width; }

#if defined(__x86_64__)
#include <immintrin.h>

#define STEM __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni")))

int stem_supported(void) { return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni"); }

// channels_of finds the levels of one row of the picture as the network counts them, channel by channel, by way of room where they differ.
static void channels_of(const stem *s, const uint8_t *x, size_t y, uint8_t *room, const uint8_t *of[3]) {
	for (size_t c = 0; c < s->channels; c++) {
		of[c] = x + (c * s->height + y) * s->width;
		if (!s->table) continue;
		lookup_bytes(of[c], s->table, room + c * s->width, s->width);
		of[c] = room + c * s->width;
	}
}

// pack_row writes one row of the picture as four bytes a pixel, the channels' levels and a 0, with the padding on both sides.
STEM static void pack_row(const stem *s, const uint8_t *x, ptrdiff_t y, uint8_t *room, uint8_t *row) {
	size_t pad_left = s->pads[1];
	if (y < 0 || y >= (ptrdiff_t)s->height) {
		memset(row, 0, stride_of(s));
		return;
	}
	const uint8_t *of[3];
	channels_of(s, x, (size_t)y, room, of);
	memset(row, 0, pad_left * 4);
	memset(row + (pad_left + s->width) * 4, 0, s->pads[3] * 4);
	for (size_t i = 0; i < s->width; i += 16) {
		size_t left = s->width - i;
		__mmask16 some = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
		__m512i v = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, of[0] + i));
		for (size_t c = 1; c < s->channels; c++) {
			v = _mm512_or_si512(v, _mm512_slli_epi32(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(some, of[c] + i)), (unsigned)(8 * c)));
		}
		_mm512_mask_storeu_epi32(row + (pad_left + i) * 4, some, v);
	}
}

enum { BLOCK = 8 }; // pixels whose sums stay in registers

// store rounds 16 sums to levels.
STEM static inline void store(const stem *s, __m512i sum, size_t out, uint8_t *y) {
	__m512 v = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), _mm512_loadu_ps(s->factors + out), _mm512_loadu_ps(s->bias + out));
	_mm_storeu_si128((__m128i *)y, _mm512_cvtusepi32_epi8(_mm512_max_epi32(_mm512_cvtps_epi32(v), _mm512_setzero_si512())));
}

// convolve makes up to BLOCK pixels of 16 output channels.
STEM static inline void convolve(const stem *s, const uint8_t *const *rows, size_t ox, size_t n, size_t out, uint8_t *y) {
	const int8_t *w = s->weights + out * s->kernel[0] * s->kernel[1] * 4;
	__m512i sum[BLOCK];
	for (int j = 0; j < BLOCK; j++) sum[j] = _mm512_setzero_si512();
	for (size_t u = 0; u < s->kernel[0]; u++) {
		const uint8_t *row = rows[u] + ox * s->strides[1] * 4;
		for (size_t v = 0; v < s->kernel[1]; v++, w += 64, row += 4) {
			const __m512i weights = _mm512_loadu_si512(w);
			const uint8_t *from = row;
			for (int j = 0; j < BLOCK; j++, from += s->strides[1] * 4) {
				int32_t taps;
				memcpy(&taps, (size_t)j < n ? from : row, 4);
				sum[j] = _mm512_dpbusd_epi32(sum[j], _mm512_set1_epi32(taps), weights);
			}
		}
	}
	for (size_t j = 0; j < n; j++) store(s, sum[j], out, y + j * s->outputs + out);
}

STEM void stem_run(const stem *s, const uint8_t *x, uint8_t *buffer, uint8_t *y) {
	size_t stride = stride_of(s), high = s->kernel[0];
	size_t oh = stem_size(s, 0), ow = stem_size(s, 1);
	const uint8_t *rows[STEM_KERNEL];
	ptrdiff_t packed = -(ptrdiff_t)s->pads[0]; // the first row of the picture that is not packed yet
	for (size_t oy = 0; oy < oh; oy++) {
		ptrdiff_t top = (ptrdiff_t)(oy * s->strides[0]) - (ptrdiff_t)s->pads[0];
		if (packed < top) packed = top;
		for (size_t u = 0; u < high; u++) {
			ptrdiff_t at = top + (ptrdiff_t)u;
			uint8_t *row = buffer + (size_t)(at + (ptrdiff_t)s->pads[0]) % high * stride;
			if (at >= packed) pack_row(s, x, at, buffer + high * stride, row), packed = at + 1;
			rows[u] = row;
		}
		for (size_t ox = 0; ox < ow; ox += BLOCK) {
			size_t n = ow - ox < BLOCK ? ow - ox : BLOCK;
			for (size_t out = 0; out < s->outputs; out += 16) {
				if (n == BLOCK) convolve(s, rows, ox, BLOCK, out, y + ox * s->outputs); // a constant, so that nothing is asked inside
				else convolve(s, rows, ox, n, out, y + ox * s->outputs);
			}
		}
		y += ow * s->outputs;
	}
}
#else
int stem_supported(void) { return 0; }
void stem_run(const stem *s, const uint8_t *x, uint8_t *buffer, uint8_t *y) { (void)s, (void)x, (void)buffer, (void)y; }
#endif
