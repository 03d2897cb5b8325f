// What the parts of the lookup share.
#ifndef SIGHTLINE_LOOKUP_H
#define SIGHTLINE_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

enum { LOOKUP_CHANNELS = 16, LOOKUP_PIXELS = 64 }; // of a block

// A lookup_block looks up a block whose channels' tables, of 256 bytes, follow each other. channels is how many there are in all, and so the
// bytes from pixel to pixel in x and y, which may be the same.
typedef void lookup_block(const uint8_t *x, const uint8_t *tables, uint8_t *y, size_t channels);

void lookup_plain(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);

#if defined(__x86_64__)
void lookup_avx2(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);
void lookup_avx512(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);
void lookup_vbmi(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);
lookup_block lookup_block_avx2, lookup_block_avx512, lookup_block_vbmi;
#endif

#endif
