package ingest

import (
	"context"
	"errors"
	"time"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/bus"
)

// fileSource plays a local video file as fast as the owner takes it: pacing is the owner's, who knows when pictures come
// out of the decoder.
type fileSource struct {
	path string
	loop bool
}

func newFileSource(cfg CameraConfig) *fileSource { return &fileSource{cfg.Source, cfg.Loop} }

// Run plays the file once, or for ever where it loops; time goes on from round to round.
func (s *fileSource) Run(ctx context.Context, q *Queue) error {
	demuxer, err := decode.OpenFile(ctx, s.path)
	if err != nil {
		return permanent(ctx, err)
	}
	defer demuxer.Close()
	var line timeline
	for {
		if err := s.round(ctx, demuxer, q, &line); err != nil || !s.loop {
			return err
		}
		if err := q.Put(ctx, &Unit{Format: demuxer.Parameters(), drain: true}); err != nil {
			return err
		}
		if err := demuxer.Rewind(ctx); err != nil {
			return permanent(ctx, err)
		}
	}
}

// permanent marks the errors of a file: it will not get better by itself.
func permanent(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &Error{Permanent, err}
}

// round plays the file once.
func (s *fileSource) round(ctx context.Context, demuxer *decode.Demuxer, q *Queue, line *timeline) error {
	var packet decode.Packet
	packets := 0
	for ; ; packets++ {
		ok, err := demuxer.Read(ctx, &packet)
		if err != nil {
			return permanent(ctx, err)
		}
		if !ok {
			break
		}
		u := Unit{
			Format: demuxer.Parameters(), Data: packet.Data, Clock: bus.ClockFile, Key: packet.Key, Lost: packet.Corrupt,
			interval: demuxer.Interval(), hidden: packet.Hidden,
		}
		u.PTS, u.dts = line.place(packet.PTS, packet.DTS, max(packet.Duration, demuxer.Interval()))
		if err := q.Put(ctx, &u); err != nil {
			return err
		}
	}
	if packets == 0 {
		return permanent(ctx, errors.New("play video file "+s.path+": it has no pictures; name another"))
	}
	line.next()
	return nil
}

// timeline joins the rounds of a looping file: each begins where the one before ended.
type timeline struct {
	started       bool
	origin        time.Duration // the container's time where this round began
	offset, until time.Duration // where this round begins, and the latest end so far, on the joined line
}

// place returns a packet's times on the joined line.
func (l *timeline) place(pts, dts, duration time.Duration) (time.Duration, time.Duration) {
	first := pts
	if first == decode.NoTime {
		first = dts
	}
	if !l.started && first != decode.NoTime {
		l.started, l.origin = true, first
	}
	pts, dts = l.move(pts), l.move(dts)
	if end := max(pts, dts); end != decode.NoTime {
		l.until = max(l.until, end+duration)
	}
	return pts, dts
}

func (l *timeline) move(t time.Duration) time.Duration {
	if t == decode.NoTime {
		return t
	}
	return t - l.origin + l.offset
}

// next begins another round.
func (l *timeline) next() { l.started, l.offset = false, l.until }
