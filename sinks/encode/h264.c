#include "h264.h"

#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>
#include <libavutil/opt.h>

struct sl_h264 {
	AVCodecContext *context;
	AVFrame *frame;
	AVPacket *packet;
	sl_h264_unit last;
};

int sl_h264_known(const char *name) {
	const AVCodec *codec = avcodec_find_encoder_by_name(name);
	return codec != NULL && codec->id == AV_CODEC_ID_H264;
}

// Options that an encoder does not have are left out: each of the encoders knows some of them.
static void option(AVCodecContext *c, const char *key, const char *value) {
	av_opt_set(c->priv_data, key, value, 0);
}

static void configure(AVCodecContext *c, const char *name, const sl_h264_config *config) {
	c->log_level_offset = AV_LOG_ERROR; // x264 tells a dozen lines of statistics at AV_LOG_INFO; errors come back as codes
	c->width = config->width;
	c->height = config->height;
	c->pix_fmt = AV_PIX_FMT_YUV420P;
	c->time_base = (AVRational){1, 90000};
	c->framerate = (AVRational){config->fps, 1};
	c->bit_rate = (int64_t)config->kbps * 1000;
	c->rc_max_rate = c->bit_rate;
	c->rc_buffer_size = (int)c->bit_rate; // one second: a key frame fits without starving what follows it
	c->gop_size = config->key_interval;
	c->max_b_frames = 0;
	c->refs = 1;
	c->thread_count = config->threads;
	c->color_range = AVCOL_RANGE_MPEG;
	c->colorspace = config->bt709 ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
	c->color_primaries = config->bt709 ? AVCOL_PRI_BT709 : AVCOL_PRI_SMPTE170M;
	c->color_trc = config->bt709 ? AVCOL_TRC_BT709 : AVCOL_TRC_SMPTE170M;
	if (strcmp(name, "libx264") == 0) {
		option(c, "preset", "ultrafast");
		option(c, "tune", "zerolatency");
		option(c, "profile", "baseline"); // x264 sets constraint_set1: constrained baseline, which every browser plays
		option(c, "forced-idr", "1");
	} else if (strcmp(name, "libopenh264") == 0) {
		option(c, "profile", "constrained_baseline");
		option(c, "rc_mode", "bitrate");
		option(c, "allow_skip_frames", "0");
	}
}

static int prepare(sl_h264 *e) {
	e->frame->format = e->context->pix_fmt;
	e->frame->width = e->context->width;
	e->frame->height = e->context->height;
	e->frame->color_range = e->context->color_range;
	e->frame->colorspace = e->context->colorspace;
	return av_frame_get_buffer(e->frame, 0);
}

sl_h264 *sl_h264_open(const char *name, const sl_h264_config *config, int *err) {
	const AVCodec *codec = avcodec_find_encoder_by_name(name);
	sl_h264 *e = calloc(1, sizeof *e);
	if (codec == NULL || e == NULL) {
		*err = codec == NULL ? AVERROR_ENCODER_NOT_FOUND : AVERROR(ENOMEM);
		free(e);
		return NULL;
	}
	e->context = avcodec_alloc_context3(codec);
	e->frame = av_frame_alloc();
	e->packet = av_packet_alloc();
	*err = AVERROR(ENOMEM);
	if (e->context != NULL && e->frame != NULL && e->packet != NULL) {
		configure(e->context, name, config);
		*err = avcodec_open2(e->context, codec, NULL);
		if (*err >= 0)
			*err = prepare(e);
	}
	if (*err < 0) {
		sl_h264_close(e);
		return NULL;
	}
	return e;
}

// Full range to limited range in 16 bits, which compilers turn into vector code: x/255 = (x + 1 + x/256) / 256.
static void narrow(uint8_t *restrict to, const uint8_t *restrict from, int n, uint16_t gain) {
	for (int i = 0; i < n; i++) {
		uint16_t x = (uint16_t)(from[i] * gain + 127);
		to[i] = (uint8_t)(16 + ((uint16_t)(x + 1 + (x >> 8)) >> 8));
	}
}

static void plane(uint8_t *to, int to_stride, const uint8_t *from, int from_stride, int width, int height, uint16_t gain) {
	for (int row = 0; row < height; row++) {
		if (gain != 0)
			narrow(to, from, width, gain);
		else
			memcpy(to, from, width);
		to += to_stride;
		from += from_stride;
	}
}

int sl_h264_encode(sl_h264 *e, const uint8_t *y, const uint8_t *u, const uint8_t *v, int stride_y, int stride_c, int full_range,
	int64_t pts, int force_key) {
	AVFrame *f = e->frame;
	int w = f->width, h = f->height, err;
	e->last = (sl_h264_unit){0};
	av_packet_unref(e->packet);
	if ((err = av_frame_make_writable(f)) < 0)
		return err;
	plane(f->data[0], f->linesize[0], y, stride_y, w, h, full_range ? 219 : 0);
	plane(f->data[1], f->linesize[1], u, stride_c, w / 2, h / 2, full_range ? 224 : 0);
	plane(f->data[2], f->linesize[2], v, stride_c, w / 2, h / 2, full_range ? 224 : 0);
	f->pts = pts;
	f->pict_type = force_key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
	if ((err = avcodec_send_frame(e->context, f)) < 0)
		return err;
	err = avcodec_receive_packet(e->context, e->packet);
	if (err == AVERROR(EAGAIN))
		return 0;
	if (err < 0)
		return err;
	e->last = (sl_h264_unit){e->packet->data, e->packet->size, (e->packet->flags & AV_PKT_FLAG_KEY) != 0};
	return 0;
}

const sl_h264_unit *sl_h264_last(const sl_h264 *e) {
	return &e->last;
}

void sl_h264_close(sl_h264 *e) {
	if (e == NULL)
		return;
	avcodec_free_context(&e->context);
	av_frame_free(&e->frame);
	av_packet_free(&e->packet);
	free(e);
}

void sl_h264_error(int err, char *text, int size) {
	if (av_strerror(err, text, size) < 0)
		text[0] = 0;
}

unsigned sl_h264_version(void) {
	return avcodec_version();
}
