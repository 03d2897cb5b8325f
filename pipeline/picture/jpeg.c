#include "jpeg.h"

#include <stdio.h> // jpeglib.h needs it
#include <jpeglib.h>

int sl_jpeg_to_planes(tjhandle h, const uint8_t *data, unsigned long size, uint8_t *y, uint8_t *u, uint8_t *v, int width, int height,
                      int stride_y, int stride_u, int stride_v, int flags) {
  unsigned char *planes[3] = {y, u, v};
  int strides[3] = {stride_y, stride_u, stride_v};
  return tjDecompressToYUVPlanes(h, data, size, planes, width, strides, height, flags);
}

int sl_jpeg_from_planes(tjhandle h, const uint8_t *y, const uint8_t *u, const uint8_t *v, int width, int height, int stride_y,
                        int stride_c, int quality, uint8_t *dst, unsigned long *size) {
  const unsigned char *planes[3] = {y, u, v};
  const int strides[3] = {stride_y, stride_c, stride_c};
  unsigned char *buffer = dst;
  return tjCompressFromYUVPlanes(h, planes, width, strides, height, TJSAMP_420, &buffer, size, quality, TJFLAG_NOREALLOC);
}

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

const char *sl_jpeg_version(void) {
#ifdef LIBJPEG_TURBO_VERSION
  return TEXT(LIBJPEG_TURBO_VERSION);
#else
  return "unknown";
#endif
}
