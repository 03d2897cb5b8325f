// Interpolation along a row of a plane.
#ifndef SIGHTLINE_PICTURE_ACROSS_H
#define SIGHTLINE_PICTURE_ACROSS_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#define SIGHTLINE_VBMI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))
#endif

// sl_steps are the places of one direction in a row of a plane, in order: each lies between the samples left and right, of which the second
// is the next one, or the same at the row's end, with the share part of the second in 1/128. places and shares have them as vectors want
// them: both samples of a place, counted from the left one of its block of 32 on, and both shares, a byte each; sl_pack fills them.
typedef struct {
  const int32_t *left, *right, *part;
  uint8_t *places, *shares;
  int n;
} sl_steps;

void sl_pack(const sl_steps *s);

// sl_across interpolates a row at all places, in 1/128 of a level with 128 taken off. All processors give the same.
void sl_across(const uint8_t *src, const sl_steps *s, int16_t *dst);

// sl_vbmi tells whether this processor has what SIGHTLINE_VBMI asks for.
bool sl_vbmi(void);

#endif
