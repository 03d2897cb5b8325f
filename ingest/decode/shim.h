// The thin shim over libavcodec, libavformat and libswscale (FFmpeg 5 to 8). Every function that returns an int returns
// a negative AVERROR on failure; sl_error_text turns it into words.
#ifndef SIGHTLINE_DECODE_SHIM_H
#define SIGHTLINE_DECODE_SHIM_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#define SL_MAX_SIDE 16384
#define SL_MAX_PIXELS 40000000

// What a container says about a stream. Plain numbers, so that it can travel as a Go value.
typedef struct {
    char codec[32];
    uint32_t tag;
    int width, height, bits, delay, pixel_format, block_align, profile, level, colour_range, colour_space;
    int64_t frame_duration; // ns, 0 = unknown
    const uint8_t *extradata; // only out of a demuxer, whose it stays
    int extradata_len;
} sl_parameters;

typedef struct {
    int stride_y, stride_c;
    size_t room_y, room_c; // bytes of a plane, below the picture's last row as well
} sl_layout;

// Memory that the caller lends for a picture.
typedef struct {
    uint8_t *y, *u, *v;
    int width, height; // of the picture that is shown
    sl_layout layout;
    atomic_int state; // free, lent, used by libavcodec, or back from it
} sl_place;

enum { SL_PLACES = 32 };

typedef struct {
    AVCodecContext *ctx;
    AVPacket *packet;
    AVFrame *frame;     // the picture that was received last
    AVFrame *converted; // only for formats that are not 4:2:0, when the target is not aligned
    struct SwsContext *sws;
    // of the picture in frame:
    int width, height, key, corrupt, full_range, bt709;
    int64_t pts;
    int place; // that it lies in, -1 for none
    int64_t spent; // processor time of the thread in libavcodec, ns
    atomic_int complaint; // libavcodec covered damage up while it decoded

    sl_place places[SL_PLACES];
    pthread_mutex_t mutex; // protects what follows
    AVBufferPool *pool;    // of pictures that lie in no place
    size_t pool_size;      // bytes of each
    int placed;            // pictures in a row that went into places
} sl_decoder;

enum { SL_NONE = 0, SL_PICTURE = 1 };

// Once a process, before there are threads: large memory goes back to the system when it is freed, from so many heaps at most.
void sl_bound_memory(int heaps);

int sl_decoder_open(sl_decoder **out, const sl_parameters *p, const uint8_t *extradata, int extradata_len, int threads);
int sl_decoder_send(sl_decoder *d, const uint8_t *data, int len, int64_t pts, int discard);
int sl_decoder_receive(sl_decoder *d); // SL_NONE: send more; SL_PICTURE: d->frame holds one
int sl_decoder_copy(sl_decoder *d, uint8_t *y, uint8_t *u, uint8_t *v, int stride_y, int stride_c);
// The number of a place; -1: there are too many.
int sl_decoder_lend(sl_decoder *d, uint8_t *y, uint8_t *u, uint8_t *v, int width, int height, sl_layout layout);
int sl_decoder_lent(sl_decoder *d);    // places that are lent and not yet used
void sl_decoder_recall(sl_decoder *d); // those come back
int sl_decoder_back(sl_decoder *d);    // a place that came back; -1: none
int sl_decoder_keeps(sl_decoder *d);
enum AVPixelFormat sl_plain_format(int format); // without the range that the old "J" formats say
int sl_get_buffer(AVCodecContext *ctx, AVFrame *frame, int flags);
int sl_place_of(sl_decoder *d, const AVFrame *frame); // -1: in none
void sl_decoder_be_lenient(sl_decoder *d); // conceal what is damaged, and flag it, where it was refused before
void sl_decoder_flush(sl_decoder *d);
void sl_decoder_close(sl_decoder *d);
int sl_decoder_exists(const char *codec);

typedef struct {
    AVFormatContext *fmt;
    AVIOContext *io;
    AVPacket *packet;
    int fd, stream;
    int64_t position, size;
    atomic_int stop; // set from any thread: makes whatever is running return soon
    char container[32];
    // of the packet that was read last, ns; AV_NOPTS_VALUE = unknown
    int64_t pts, dts, duration;
    int key, corrupt, discard;
} sl_demuxer;

enum { SL_ERROR_PLAYLIST = -1000001, SL_ERROR_NO_VIDEO = -1000002 };

sl_demuxer *sl_demuxer_new(int fd);
int sl_demuxer_open(sl_demuxer *d);
void sl_demuxer_parameters(sl_demuxer *d, sl_parameters *out);
int sl_demuxer_read(sl_demuxer *d); // 1: d->packet holds one; 0: the end
void sl_demuxer_interrupt(sl_demuxer *d);
void sl_demuxer_free(sl_demuxer *d);

void sl_error_text(int code, char *buffer, int size);
int sl_is_fatal(int code); // out of memory, as opposed to bad data
void sl_listen(void); // takes libav's log lines, once for the process
#endif
