#include "shim.h"

#include <errno.h>
#include <libavutil/avstring.h>
#include <sys/stat.h>
#include <unistd.h>

// Containers that are lists of other files or addresses, and text that is drawn as a picture.
static const char *const refused[] = {"hls", "dash", "concat", "sdp", "rtsp", "imf", "image2", "webm_dash_manifest", "tty",
                                      "bin", "xbin", "adf", "idf", "avisynth", "vapoursynth", NULL};

static int interrupted(void *opaque) { return atomic_load(&((sl_demuxer *)opaque)->stop); }

static int read_file(void *opaque, uint8_t *buffer, int size) {
    sl_demuxer *d = opaque;
    ssize_t n;
    do {
        if (interrupted(d))
            return AVERROR_EXIT;
        n = pread(d->fd, buffer, size, d->position);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return AVERROR(errno);
    d->position += n;
    return n ? (int)n : AVERROR_EOF;
}

static int64_t seek_file(void *opaque, int64_t offset, int whence) {
    sl_demuxer *d = opaque;
    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return d->size;
    case SEEK_SET:
        break;
    case SEEK_CUR:
        offset += d->position;
        break;
    case SEEK_END:
        offset += d->size;
        break;
    default:
        return AVERROR(EINVAL);
    }
    if (offset < 0)
        return AVERROR(EINVAL);
    return d->position = offset;
}

// Whatever a container asks to open besides itself is refused.
static int refuse_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags, AVDictionary **options) {
    return AVERROR(EACCES);
}

sl_demuxer *sl_demuxer_new(int fd) {
    sl_demuxer *d = av_mallocz(sizeof *d);
    if (d) {
        d->fd = fd;
        atomic_init(&d->stop, 0);
    }
    return d;
}

static void close_input(sl_demuxer *d) {
    avformat_close_input(&d->fmt);
    if (d->io)
        av_freep(&d->io->buffer);
    avio_context_free(&d->io);
}

void sl_demuxer_free(sl_demuxer *d) {
    close_input(d);
    av_packet_free(&d->packet);
    av_free(d);
}

void sl_demuxer_interrupt(sl_demuxer *d) { atomic_store(&d->stop, 1); }

static int make_io(sl_demuxer *d) {
    const int size = 1 << 16;
    struct stat st;
    if (fstat(d->fd, &st) < 0)
        return AVERROR(errno);
    d->size = st.st_size;
    d->position = 0;
    uint8_t *buffer = av_malloc(size);
    d->io = buffer ? avio_alloc_context(buffer, size, 0, d, read_file, NULL, seek_file) : NULL;
    if (!d->io) {
        av_free(buffer);
        return AVERROR(ENOMEM);
    }
    return d->packet || (d->packet = av_packet_alloc()) ? 0 : AVERROR(ENOMEM);
}

// Finds the container by the file's content alone: a name proves nothing.
static int probe(sl_demuxer *d, const AVInputFormat **found) {
    int r = av_probe_input_buffer2(d->io, found, "", NULL, 0, 1 << 20);
    if (r < 0)
        return r;
    av_strlcpy(d->container, (*found)->name, sizeof d->container);
    for (int i = 0; refused[i]; i++)
        if (av_match_name(refused[i], (*found)->name))
            return SL_ERROR_PLAYLIST;
    return 0;
}

static int open_input(sl_demuxer *d, const AVInputFormat *format) {
    d->fmt = avformat_alloc_context();
    if (!d->fmt)
        return AVERROR(ENOMEM);
    d->fmt->pb = d->io;
    d->fmt->flags |= AVFMT_FLAG_CUSTOM_IO;
    d->fmt->io_open = refuse_open;
    d->fmt->interrupt_callback = (AVIOInterruptCB){interrupted, d};
    AVDictionary *options = NULL;
    av_dict_set(&options, "protocol_whitelist", "none", 0);
    int r = avformat_open_input(&d->fmt, "", format, &options); // frees fmt on failure
    av_dict_free(&options);
    return r;
}

// Looks into the streams, with the decoders that this takes held to our limits.
static int find_streams(sl_demuxer *d) {
    unsigned n = d->fmt->nb_streams;
    AVDictionary **options = av_calloc(n ? n : 1, sizeof *options);
    if (!options)
        return AVERROR(ENOMEM);
    for (unsigned i = 0; i < n; i++) {
        av_dict_set_int(&options[i], "max_pixels", SL_MAX_PIXELS, 0);
        av_dict_set(&options[i], "threads", "1", 0);
    }
    int r = avformat_find_stream_info(d->fmt, n ? options : NULL);
    for (unsigned i = 0; i < n; i++)
        av_dict_free(&options[i]);
    av_free(options);
    return r;
}

int sl_demuxer_open(sl_demuxer *d) {
    const AVInputFormat *format = NULL;
    close_input(d);
    int r = make_io(d);
    if (r >= 0)
        r = probe(d, &format);
    if (r >= 0)
        r = open_input(d, format);
    if (r >= 0)
        r = find_streams(d);
    if (r < 0)
        return r;
    d->stream = av_find_best_stream(d->fmt, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (d->stream < 0 || d->fmt->streams[d->stream]->disposition & AV_DISPOSITION_ATTACHED_PIC)
        return SL_ERROR_NO_VIDEO;
    for (unsigned i = 0; i < d->fmt->nb_streams; i++)
        if ((int)i != d->stream)
            d->fmt->streams[i]->discard = AVDISCARD_ALL;
    return 0;
}

void sl_demuxer_parameters(sl_demuxer *d, sl_parameters *out) {
    AVStream *st = d->fmt->streams[d->stream];
    const AVCodecParameters *par = st->codecpar;
    av_strlcpy(out->codec, avcodec_get_name(par->codec_id), sizeof out->codec);
    out->tag = par->codec_tag;
    out->width = par->width;
    out->height = par->height;
    out->bits = par->bits_per_coded_sample;
    out->delay = par->video_delay;
    out->pixel_format = par->format;
    out->block_align = par->block_align;
    out->profile = par->profile;
    out->level = par->level;
    out->colour_range = par->color_range;
    out->colour_space = par->color_space;
    out->extradata = par->extradata;
    out->extradata_len = par->extradata_size;
    AVRational rate = st->avg_frame_rate.num > 0 && st->avg_frame_rate.den > 0 ? st->avg_frame_rate : st->r_frame_rate;
    out->frame_duration =
        rate.num > 0 && rate.den > 0 ? av_rescale(1000000000, rate.den, rate.num) : 0;
}

static int64_t to_ns(int64_t t, AVRational base) {
    return t == AV_NOPTS_VALUE ? t : av_rescale_q(t, base, (AVRational){1, 1000000000});
}

int sl_demuxer_read(sl_demuxer *d) {
    int r;
    for (int failures = 0;;) {
        av_packet_unref(d->packet);
        r = av_read_frame(d->fmt, d->packet);
        if (r >= 0 && d->packet->stream_index == d->stream && d->packet->size > 0)
            break;
        // A damaged place in the file: most demuxers go on behind it.
        if (r < 0 && (r == AVERROR_EOF || r == AVERROR_EXIT || ++failures > 100))
            return r == AVERROR_EOF ? 0 : r;
    }
    const AVPacket *p = d->packet;
    AVRational base = d->fmt->streams[d->stream]->time_base;
    d->pts = to_ns(p->pts, base);
    d->dts = to_ns(p->dts, base);
    d->duration = p->duration > 0 ? to_ns(p->duration, base) : 0;
    d->key = (p->flags & AV_PKT_FLAG_KEY) != 0;
    d->corrupt = (p->flags & AV_PKT_FLAG_CORRUPT) != 0;
    d->discard = (p->flags & AV_PKT_FLAG_DISCARD) != 0;
    return 1;
}
