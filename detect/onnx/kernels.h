// Operators of our own inside onnxruntime: what its library lacks for int8 networks.
#ifndef SIGHTLINE_KERNELS_H
#define SIGHTLINE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

// Adds the operators to session options of the loaded library at path. Returns NULL, or what went wrong (a static text).
const char *kernels_add(const char *path, void *session_options);

// y[i] = table[x[i]] for n bytes; x and y may be the same.
void lookup_bytes(const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);

// The same by one variant, for tests. Its name is "" where this processor cannot run it, NULL behind the last one.
const char *lookup_variant(int i);
void lookup_bytes_by(int i, const uint8_t *x, const uint8_t *table, uint8_t *y, size_t n);

#endif
