#include "shim.h"

#include <libavutil/imgutils.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <time.h>

static const AVCodec *find_codec(const char *name) {
    const AVCodecDescriptor *d = avcodec_descriptor_get_by_name(name);
    return d && d->type == AVMEDIA_TYPE_VIDEO ? avcodec_find_decoder(d->id) : NULL;
}

int sl_decoder_exists(const char *codec) { return find_codec(codec) != NULL; }

static int fill_parameters(AVCodecParameters *par, const AVCodec *codec, const sl_parameters *p,
                           const uint8_t *extradata, int len) {
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = codec->id;
    par->codec_tag = p->tag;
    par->width = p->width;
    par->height = p->height;
    par->bits_per_coded_sample = p->bits;
    par->video_delay = p->delay;
    par->format = p->pixel_format;
    par->block_align = p->block_align;
    par->profile = p->profile;
    par->level = p->level;
    par->color_range = p->colour_range;
    par->color_space = p->colour_space;
    if (len == 0)
        return 0;
    par->extradata = av_mallocz(len + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!par->extradata)
        return AVERROR(ENOMEM);
    memcpy(par->extradata, extradata, len);
    par->extradata_size = len;
    return 0;
}

static int open_context(sl_decoder *d, const AVCodec *codec, const sl_parameters *p, const uint8_t *extradata, int len,
                        int threads) {
    AVCodecParameters *par = avcodec_parameters_alloc();
    if (!par)
        return AVERROR(ENOMEM);
    int r = fill_parameters(par, codec, p, extradata, len);
    if (r >= 0)
        r = avcodec_parameters_to_context(d->ctx, par);
    avcodec_parameters_free(&par);
    if (r < 0)
        return r;
    d->ctx->thread_count = threads;
    d->ctx->thread_type = FF_THREAD_FRAME; // slice threads would switch H.264's error concealment off, and its flags with it
    // Refuse a damaged picture at once: with B-frames the flag of a concealed one comes out after the pictures that copy it.
    d->ctx->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE;
    d->ctx->opaque = d;
    d->ctx->max_pixels = SL_MAX_PIXELS;
    d->ctx->get_buffer2 = sl_get_buffer;
    d->ctx->pkt_timebase = (AVRational){1, 1000000000};
    return avcodec_open2(d->ctx, codec, NULL);
}

int sl_decoder_open(sl_decoder **out, const sl_parameters *p, const uint8_t *extradata, int len, int threads) {
    const AVCodec *codec = find_codec(p->codec);
    if (!codec)
        return AVERROR_DECODER_NOT_FOUND;
    sl_decoder *d = av_mallocz(sizeof *d);
    if (!d)
        return AVERROR(ENOMEM);
    pthread_mutex_init(&d->mutex, NULL);
    d->ctx = avcodec_alloc_context3(codec);
    d->packet = av_packet_alloc();
    d->frame = av_frame_alloc();
    int r = d->ctx && d->packet && d->frame ? open_context(d, codec, p, extradata, len, threads) : AVERROR(ENOMEM);
    if (r < 0) {
        sl_decoder_close(d);
        return r;
    }
    *out = d;
    return 0;
}

void sl_decoder_close(sl_decoder *d) {
    sws_freeContext(d->sws);
    av_frame_free(&d->converted);
    av_frame_free(&d->frame);
    av_packet_free(&d->packet);
    avcodec_free_context(&d->ctx);
    av_buffer_pool_uninit(&d->pool);
    pthread_mutex_destroy(&d->mutex);
    av_free(d);
}

// thread_time is what the calling thread has taken on the processor, ns.
static int64_t thread_time(void) {
    struct timespec t;
    return clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) ? 0 : t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int sl_decoder_send(sl_decoder *d, const uint8_t *data, int len, int64_t pts, int discard) {
    if (!data)
        return avcodec_send_packet(d->ctx, NULL);
    // The packet has no reference count, so libavcodec copies the data, with the padding that its readers need.
    d->packet->data = (uint8_t *)data;
    d->packet->size = len;
    d->packet->pts = pts;
    d->packet->dts = AV_NOPTS_VALUE;
    d->packet->flags = discard ? AV_PKT_FLAG_DISCARD : 0;
    atomic_store(&d->complaint, 0);
    int64_t before = thread_time();
    int r = avcodec_send_packet(d->ctx, d->packet);
    d->spent += thread_time() - before;
    d->packet->data = NULL;
    d->packet->size = 0;
    return r >= 0 && atomic_load(&d->complaint) ? AVERROR_INVALIDDATA : r;
}

void sl_decoder_be_lenient(sl_decoder *d) { d->ctx->err_recognition = 0; }

void sl_decoder_flush(sl_decoder *d) { avcodec_flush_buffers(d->ctx); }

static int is_key(const AVFrame *f) {
#ifdef AV_FRAME_FLAG_KEY
    return (f->flags & AV_FRAME_FLAG_KEY) != 0;
#else
    return f->key_frame;
#endif
}

// Cameras that do not say which matrix they use mean BT.601 for standard definition and BT.709 above it.
static int is_bt709(const AVFrame *f) {
    switch (f->colorspace) {
    case AVCOL_SPC_BT709:
        return 1;
    case AVCOL_SPC_UNSPECIFIED:
        return f->height >= 720;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        return 1; // the nearest of the two
    default:
        return 0;
    }
}

static int is_rgb(const AVFrame *f) {
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(f->format);
    return desc && (desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL));
}

// The old "J" formats mean full range; swscale warns about them.
enum AVPixelFormat sl_plain_format(int format) {
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        return AV_PIX_FMT_YUV440P;
    default:
        return format;
    }
}

int sl_decoder_receive(sl_decoder *d) {
    int64_t before = thread_time();
    int r = avcodec_receive_frame(d->ctx, d->frame);
    d->spent += thread_time() - before;
    if (r == AVERROR(EAGAIN) || r == AVERROR_EOF)
        return SL_NONE;
    if (r < 0)
        return r;
    AVFrame *f = d->frame;
    d->width = f->width;
    d->height = f->height;
    d->pts = f->pts;
    d->key = is_key(f);
    d->place = sl_place_of(d, f);
    d->corrupt = (f->flags & AV_FRAME_FLAG_CORRUPT) != 0 || f->decode_error_flags != 0 || f->width > SL_MAX_SIDE ||
                 f->height > SL_MAX_SIDE;
    d->bt709 = !is_rgb(f) && is_bt709(f);
    d->full_range = !is_rgb(f) && (f->color_range == AVCOL_RANGE_JPEG || sl_plain_format(f->format) != f->format);
    return SL_PICTURE;
}

static int convert(sl_decoder *d, uint8_t *const dst[4], const int stride[4]) {
    AVFrame *f = d->frame;
    d->sws = sws_getCachedContext(d->sws, f->width, f->height, sl_plain_format(f->format), f->width, f->height,
                                  AV_PIX_FMT_YUV420P, SWS_BILINEAR | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (!d->sws)
        return AVERROR_PATCHWELCOME;
    // Only the layout changes: the same matrix and range on both sides (RGB becomes BT.601, limited range).
    const int *matrix = sws_getCoefficients(d->bt709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    sws_setColorspaceDetails(d->sws, matrix, is_rgb(f) || d->full_range, matrix, d->full_range, 0, 1 << 16, 1 << 16);
    int r = sws_scale(d->sws, (const uint8_t *const *)f->data, f->linesize, 0, f->height, dst, stride);
    return r < 0 ? r : 0;
}

// swscale may write past the end of a row up to its vector width.
static int has_room(uint8_t *const p[4], const int stride[4], int width) {
    for (int i = 0; i < 3; i++) {
        int w = i ? (width + 1) / 2 : width;
        if ((uintptr_t)p[i] % 32 || stride[i] % 32 || stride[i] < FFALIGN(w, 32))
            return 0;
    }
    return 1;
}

static int convert_apart(sl_decoder *d) {
    AVFrame *c = d->converted;
    if (!c && !(c = d->converted = av_frame_alloc()))
        return AVERROR(ENOMEM);
    if (c->width != d->width || c->height != d->height) {
        av_frame_unref(c);
        c->format = AV_PIX_FMT_YUV420P;
        c->width = d->width;
        c->height = d->height;
        int r = av_frame_get_buffer(c, 0);
        if (r < 0)
            return r;
    }
    return convert(d, c->data, c->linesize);
}

int sl_decoder_copy(sl_decoder *d, uint8_t *y, uint8_t *u, uint8_t *v, int stride_y, int stride_c) {
    uint8_t *dst[4] = {y, u, v, NULL};
    int stride[4] = {stride_y, stride_c, stride_c, 0};
    AVFrame *src = d->frame;
    if (sl_plain_format(src->format) != AV_PIX_FMT_YUV420P) {
        if (has_room(dst, stride, d->width))
            return convert(d, dst, stride);
        int r = convert_apart(d);
        if (r < 0)
            return r;
        src = d->converted;
    }
    for (int i = 0; i < 3; i++)
        av_image_copy_plane(dst[i], stride[i], src->data[i], src->linesize[i], i ? (d->width + 1) / 2 : d->width,
                            i ? (d->height + 1) / 2 : d->height);
    return 0;
}

void sl_error_text(int code, char *buffer, int size) {
    if (av_strerror(code, buffer, size) < 0)
        snprintf(buffer, size, "libav error %d", code);
}

int sl_is_fatal(int code) { return code == AVERROR(ENOMEM); }

// Some damage libavcodec only talks about: covered-up pictures are flagged when they come out, which with B-frames is after
// those that copy them, and a missing H.265 reference is never flagged. Anything else that it says is dropped.
static void listen(void *object, int level, const char *format, va_list args) {
    static const char *const words[] = {"concealing ", "Could not find ref with POC", NULL};
    if (!object || *(const AVClass **)object != avcodec_get_class())
        return;
    AVCodecContext *ctx = object;
    if (!ctx->opaque || ctx->get_buffer2 != sl_get_buffer)
        return; // not ours
    for (int i = 0; words[i]; i++)
        if (!strncmp(format, words[i], strlen(words[i])))
            atomic_store(&((sl_decoder *)ctx->opaque)->complaint, 1);
}

void sl_listen(void) { av_log_set_callback(listen); }
