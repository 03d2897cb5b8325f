#include "shim.h"

// Where libavcodec puts the pictures that it decodes: plain 4:2:0 into a place that the caller lent, or into memory laid out in the same
// way, since decoders want one stride for a picture and those that it refers to. Other pictures go where libavcodec likes.

enum {
    STRIDE_UNIT = 128, // of luma, so that chroma's is a multiple of 64, which is the most that libavcodec asks for
    PADDING = 128,     // bytes behind the last plane, for code that reads whole vectors
    ENOUGH = 32,       // so many pictures in a row went into places: the memory beside them is given back
};

enum { FREE, LENT, USED, BACK };

static int plain(const AVCodecContext *ctx, const AVFrame *frame) {
    return sl_plain_format(frame->format) == AV_PIX_FMT_YUV420P && ctx->codec->capabilities & AV_CODEC_CAP_DR1;
}

static sl_layout layout_of(AVCodecContext *ctx, const AVFrame *frame) {
    int w = frame->width, h = frame->height, align[AV_NUM_DATA_POINTERS];
    avcodec_align_dimensions2(ctx, &w, &h, align);
    sl_layout l = {.stride_y = FFALIGN(w, STRIDE_UNIT)};
    l.stride_c = l.stride_y / 2;
    l.room_y = (size_t)l.stride_y * FFALIGN(h, 2);
    l.room_c = l.room_y / 4;
    return l;
}

static void point(AVFrame *frame, uint8_t *y, uint8_t *u, uint8_t *v, const sl_layout *l) {
    frame->data[0] = y;
    frame->data[1] = u;
    frame->data[2] = v;
    frame->linesize[0] = l->stride_y;
    frame->linesize[1] = frame->linesize[2] = l->stride_c;
    frame->extended_data = frame->data;
}

static void place_back(void *place, uint8_t *data) {
    (void)data;
    atomic_store(&((sl_place *)place)->state, BACK);
}

static int fits(const sl_place *p, const AVCodecContext *ctx, const sl_layout *l) {
    return p->width == ctx->width && p->height == ctx->height && p->layout.stride_y == l->stride_y &&
           p->layout.stride_c == l->stride_c && p->layout.room_y >= l->room_y && p->layout.room_c >= l->room_c;
}

// Takes a place; 0 where none fits.
static int into_place(sl_decoder *d, AVCodecContext *ctx, AVFrame *frame, const sl_layout *l) {
    for (int i = 0; i < SL_PLACES; i++) {
        sl_place *p = &d->places[i];
        int lent = LENT;
        if (atomic_load(&p->state) != LENT || !fits(p, ctx, l) || !atomic_compare_exchange_strong(&p->state, &lent, USED))
            continue;
        frame->buf[0] = av_buffer_create(p->y, p->v + p->layout.room_c - p->y, place_back, p, 0);
        if (!frame->buf[0]) {
            atomic_store(&p->state, LENT);
            return 0;
        }
        point(frame, p->y, p->u, p->v, l);
        return 1;
    }
    return 0;
}

static int into_pool(sl_decoder *d, AVFrame *frame, const sl_layout *l) {
    size_t size = l->room_y + 2 * l->room_c + PADDING;
    if (d->pool && d->pool_size != size)
        av_buffer_pool_uninit(&d->pool);
    if (!d->pool && !(d->pool = av_buffer_pool_init(size, av_buffer_allocz)))
        return AVERROR(ENOMEM);
    d->pool_size = size;
    frame->buf[0] = av_buffer_pool_get(d->pool);
    if (!frame->buf[0])
        return AVERROR(ENOMEM);
    uint8_t *y = frame->buf[0]->data, *u = y + l->room_y;
    point(frame, y, u, u + l->room_c, l);
    return 0;
}

int sl_get_buffer(AVCodecContext *ctx, AVFrame *frame, int flags) {
    // Refuse a picture that is too large before memory is taken for it.
    if (frame->width > SL_MAX_SIDE || frame->height > SL_MAX_SIDE ||
        (int64_t)frame->width * frame->height > SL_MAX_PIXELS * 11LL / 10) // libavcodec rounds up to whole blocks
        return AVERROR_INVALIDDATA;
    if (!plain(ctx, frame))
        return avcodec_default_get_buffer2(ctx, frame, flags);
    sl_decoder *d = ctx->opaque;
    sl_layout l = layout_of(ctx, frame);
    pthread_mutex_lock(&d->mutex); // threads of libavcodec come here at once
    int r = 0;
    if (into_place(d, ctx, frame, &l)) {
        if (++d->placed == ENOUGH)
            av_buffer_pool_uninit(&d->pool);
    } else {
        d->placed = 0;
        r = into_pool(d, frame, &l);
    }
    pthread_mutex_unlock(&d->mutex);
    return r;
}

int sl_place_of(sl_decoder *d, const AVFrame *f) {
    for (int i = 0; f->buf[0] && i < SL_PLACES; i++) {
        const sl_place *p = &d->places[i];
        // Where columns or rows are cut off at the left or top, the planes begin elsewhere.
        if (av_buffer_get_opaque(f->buf[0]) == p)
            return f->data[0] == p->y && f->data[1] == p->u && f->data[2] == p->v && f->width == p->width && f->height == p->height ? i : -1;
    }
    return -1;
}

int sl_decoder_lend(sl_decoder *d, uint8_t *y, uint8_t *u, uint8_t *v, int width, int height, sl_layout layout) {
    for (int i = 0; i < SL_PLACES; i++) {
        sl_place *p = &d->places[i];
        if (atomic_load(&p->state) != FREE)
            continue;
        p->y = y;
        p->u = u;
        p->v = v;
        p->width = width;
        p->height = height;
        p->layout = layout;
        atomic_store(&p->state, LENT);
        return i;
    }
    return -1;
}

int sl_decoder_lent(sl_decoder *d) {
    int n = 0;
    for (int i = 0; i < SL_PLACES; i++)
        n += atomic_load(&d->places[i].state) == LENT;
    return n;
}

void sl_decoder_recall(sl_decoder *d) {
    for (int i = 0; i < SL_PLACES; i++) {
        int lent = LENT;
        atomic_compare_exchange_strong(&d->places[i].state, &lent, BACK);
    }
}

int sl_decoder_back(sl_decoder *d) {
    for (int i = 0; i < SL_PLACES; i++) {
        int back = BACK;
        if (atomic_compare_exchange_strong(&d->places[i].state, &back, FREE))
            return i;
    }
    return -1;
}

int sl_decoder_keeps(sl_decoder *d) {
    int refs = d->ctx->codec_id == AV_CODEC_ID_H264 ? d->ctx->refs : 4; // only H.264 says how many
    return refs + d->ctx->has_b_frames + d->ctx->thread_count - 1;
}
