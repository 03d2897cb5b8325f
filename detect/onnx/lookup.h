// What the parts of the lookup share.
#ifndef SIGHTLINE_LOOKUP_H
#define SIGHTLINE_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

// A lookup_block looks up 16 channels of a number of pixels, whose tables of 256 bytes follow each other; channels are in all, so from pixel
// to pixel in x and y. x and y may be the same.
typedef void lookup_block(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t channels);

void lookup_plain(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);

enum { LOOKUP_BLOCK = 64 }; // pixels of a block

#if defined(__x86_64__)
void lookup_avx2(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);
void lookup_avx512(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);
void lookup_vbmi(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);
lookup_block lookup_block_avx2, lookup_block_avx512, lookup_block_vbmi;
#endif

#endif
