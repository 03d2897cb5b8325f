// libjpeg-turbo's calls with the arrays of pointers built here, so that Go memory needs no pinning.
#ifndef SIGHTLINE_PICTURE_JPEG_H
#define SIGHTLINE_PICTURE_JPEG_H

#include <stdint.h>
#include <turbojpeg.h>

// Each returns 0, or -1 with the fault to be read by sl_jpeg_error.
int sl_jpeg_to_planes(tjhandle h, const uint8_t *data, unsigned long size, uint8_t *y, uint8_t *u, uint8_t *v, int width, int height,
                      int stride_y, int stride_u, int stride_v, int flags);
int sl_jpeg_from_planes(tjhandle h, const uint8_t *y, const uint8_t *u, const uint8_t *v, int width, int height, int stride_y,
                        int stride_c, int quality, uint8_t *dst, unsigned long *size);

const char *sl_jpeg_version(void);

#endif
