#ifndef SIGHTLINE_H264_H
#define SIGHTLINE_H264_H

#include <stdint.h>

typedef struct sl_h264 sl_h264;

typedef struct {
	int width, height; // both even
	int fps;
	int kbps;
	int threads;
	int key_interval; // frames
	int bt709;
} sl_h264_config;

// The last picture's coded form, valid until the next call.
typedef struct {
	const uint8_t *data;
	int size; // 0: the encoder skipped the picture
	int key;
} sl_h264_unit;

// sl_h264_known says whether libavcodec has an encoder of that name.
int sl_h264_known(const char *name);

// sl_h264_open returns NULL and an AVERROR in *err where the encoder does not open.
sl_h264 *sl_h264_open(const char *name, const sl_h264_config *config, int *err);

// sl_h264_encode copies the planes (to 16-235/240 where they are full range) and encodes them. It returns 0 or an AVERROR.
int sl_h264_encode(sl_h264 *e, const uint8_t *y, const uint8_t *u, const uint8_t *v, int stride_y, int stride_c, int full_range,
	int64_t pts, int force_key);

const sl_h264_unit *sl_h264_last(const sl_h264 *e);

void sl_h264_close(sl_h264 *e);

void sl_h264_error(int err, char *text, int size);

// sl_h264_version is libavcodec's at run time.
unsigned sl_h264_version(void);

#endif
