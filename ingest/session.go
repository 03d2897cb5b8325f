package ingest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/sightline/sightline/ingest/decode"
	"github.com/sightline/sightline/pipeline/bus"
)

// answerWait is how long a file that is played fast waits for the detections of a frame.
const answerWait = 5 * time.Second

// session is one connection of a camera: from access units to published frames. It belongs to the owner's goroutine.
type session struct {
	camera   *Camera
	id       string
	seq      uint64 // pictures so far, also those that were dropped
	began    time.Time
	decoder  *decode.Decoder
	format   *decode.Parameters
	flight   flight
	clock    fileClock
	shed     shedder
	out      *publisher
	loan     loan     // to the decoder
	answers  *answers // of a file that is played fast, else nil
	unfollow func()   // of a plan that follows what is found, else nil
	timer    *time.Timer

	frame    bus.Frame // the one being published; reused
	last     time.Time // capture time of the picture before
	missed   int       // pictures dropped since the last published frame
	seen     counts    // of the decoder and the queue, as accounted for so far
	decoding time.Duration
}

// counts are totals of what happened before the owner.
type counts struct {
	damaged, overflowed uint64
	decoding            time.Duration // of the processor
}

func newSession(c *Camera) (*session, error) {
	s := &session{
		camera: c, id: ulid.Make().String(), shed: newShedder(c.cfg.MaxFPS, c.cfg.phase()), out: newPublisher(c.cfg, c.conn, c.log),
		timer: time.NewTimer(time.Hour), clock: fileClock{catchUp: c.cfg.Pace == PaceFast},
	}
	s.timer.Stop()
	s.frame = bus.Frame{Camera: c.cfg.Name, Session: s.id, Policy: c.cfg.Tiles.Policy}
	if c.cfg.Pace == PaceFast {
		var err error
		if s.answers, err = listen(c.conn, c.cfg.Name, s.id); err != nil {
			s.close()
			return s, fmt.Errorf("play fast: %w", err)
		}
	}
	if c.cfg.Tiles.Policy == bus.PolicyAdaptive {
		var err error
		if s.unfollow, err = follow(c.conn, c.cfg.Name, s.id, s.out.plan); err != nil {
			s.close()
			return s, err
		}
	}
	c.report.connecting(s.id)
	return s, nil
}

func (s *session) close() {
	s.closeDecoder()
	if s.answers != nil {
		s.answers.close()
	}
	if s.unfollow != nil {
		s.unfollow()
	}
	s.out.close()
	s.timer.Stop()
}

// good returns for how long there have been pictures.
func (s *session) good() time.Duration {
	if s.began.IsZero() {
		return 0
	}
	return time.Since(s.began)
}

// play decodes and publishes until the source has ended, and returns the source's error.
func (s *session) play(ctx context.Context, queue *Queue) error {
	var u Unit
	for {
		ok, cause := queue.next(ctx, &u)
		if !ok {
			if err := s.drain(ctx); err != nil {
				return err
			}
			if cause == nil {
				return s.settle(ctx)
			}
			return cause
		}
		if err := s.take(ctx, &u); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		s.account(&s.seen.overflowed, queue.overflowed(), droppedOverflow)
	}
}

// settle waits for the answer to the last frame of a file that is played fast, so that whoever stops everything when the
// file has ended loses none.
func (s *session) settle(ctx context.Context) error {
	if s.answers == nil || s.frame.Seq == 0 {
		return nil
	}
	return s.answers.wait(ctx, s.frame.Seq, s.timer)
}

// take decodes one access unit and publishes the pictures that come out.
func (s *session) take(ctx context.Context, u *Unit) error {
	if s.decoder == nil || u.Format != s.format {
		if err := s.reopen(ctx, u.Format); err != nil {
			return err
		}
	}
	if u.drain {
		return s.drain(ctx)
	}
	if u.Lost {
		s.decoder.Lost()
		s.drop(1, droppedLost)
	}
	s.loan.use(s.decoder, s.out.ring)
	s.loan.refill(s.decoder)
	ticket, start := s.flight.board(u), time.Now()
	var err error
	if u.hidden {
		err = s.decoder.SendHidden(u.Data, ticket)
	} else {
		err = s.decoder.Send(u.Data, ticket)
	}
	s.decoding += time.Since(start)
	if err != nil {
		return err
	}
	return s.receive(ctx)
}

// reopen makes the decoder for a format, after it has got everything out of the one before.
func (s *session) reopen(ctx context.Context, format *decode.Parameters) error {
	if err := s.drain(ctx); err != nil {
		return err
	}
	if s.decoder != nil {
		s.camera.log.Info("camera's format changed", "from", s.format.Codec, "to", format.Codec)
		s.closeDecoder()
	}
	decoder, err := decode.Open(format, s.camera.cfg.Threads)
	if err != nil {
		return err
	}
	s.decoder, s.format, s.seen.damaged, s.seen.decoding = decoder, format, 0, 0
	s.camera.report.codec(format.Codec)
	return nil
}

func (s *session) closeDecoder() {
	if s.decoder == nil {
		return
	}
	s.decoder.Close()
	s.decoder = nil
	s.loan.end()
}

// drain publishes what the decoder holds back, and readies it for another start.
func (s *session) drain(ctx context.Context) error {
	if s.decoder == nil {
		return nil
	}
	if err := s.decoder.Drain(); err != nil {
		return err
	}
	err := s.receive(ctx)
	s.decoder.Restart()
	s.account(&s.seen.damaged, s.decoder.Damaged(), droppedCorrupt)
	return err
}

// receive publishes all pictures that the decoder has ready.
func (s *session) receive(ctx context.Context) error {
	for {
		start := time.Now()
		p, ok, err := s.decoder.Receive()
		s.decoding += time.Since(start)
		s.account(&s.seen.damaged, s.decoder.Damaged(), droppedCorrupt)
		s.camera.report.decoded(s.decoder.ProcessorTime() - s.seen.decoding)
		s.seen.decoding = s.decoder.ProcessorTime()
		if !ok || err != nil {
			return err
		}
		if err := s.picture(ctx, p); err != nil {
			return err
		}
	}
}

// account counts what was lost since the last time; total is the count of whoever lost it.
func (s *session) account(seen *uint64, total uint64, why dropReason) {
	if n := total - *seen; n > 0 {
		*seen = total
		s.drop(n, why)
	}
}

// drop counts n pictures that are not published. Each has a number, so that a reader sees the gap.
func (s *session) drop(n uint64, why dropReason) {
	s.seq += n
	s.missed += int(n)
	s.camera.report.dropped(n, why)
}

// picture publishes the picture that lies in the decoder, if it is one of those to publish.
func (s *session) picture(ctx context.Context, p decode.Picture) error {
	if s.began.IsZero() {
		s.began = time.Now()
	}
	s.stamp(p)
	if !s.shed.keep(s.frame.CapturedAt) {
		s.drop(1, droppedMaxFPS)
		s.decoding = 0
		return nil
	}
	err := s.fill(p)
	if errors.Is(err, bus.ErrRingFull) {
		s.drop(1, droppedRingFull)
		s.decoding = 0
		return s.pace(ctx) // or a file would rush on for as long as readers hold everything
	}
	if err != nil {
		return err
	}
	s.frame.Decode, s.decoding = s.decoding, 0
	if err := s.pace(ctx); err != nil {
		s.out.abort()
		return err
	}
	return s.publish(ctx, p)
}

// fill brings the picture into the publisher's target, unless it was decoded there.
func (s *session) fill(p decode.Picture) error {
	if slot := s.loan.slot(p); slot != nil {
		s.out.adopt(slot, p)
		return nil
	}
	target, err := s.out.target(p.Width, p.Height, slotsKept(s.decoder))
	if err != nil {
		return err
	}
	start := time.Now()
	if err := s.decoder.CopyTo(target); err != nil {
		s.out.abort()
		return err
	}
	s.decoding += time.Since(start)
	return nil
}

// stamp sets the frame's times. They never run backwards in a session.
func (s *session) stamp(p decode.Picture) {
	who, ok := s.flight.leave(p.PTS)
	if !ok { // libavcodec lost the ticket: as if the container did not know the time
		who = s.flight.places[s.flight.tickets%int64(len(s.flight.places))]
		who.pts = decode.NoTime
	}
	s.frame.Clock, s.frame.RTPTimestamp, s.frame.CapturedAt = who.clock, who.rtp, who.captured
	if who.clock == bus.ClockFile {
		due, media := s.clock.at(who.pts, who.interval, time.Now())
		s.frame.CapturedAt = due
		s.frame.RTPTimestamp = uint32(media * 9 / 100_000) // 90 kHz; wraps as RTP does
	}
	if !s.frame.CapturedAt.After(s.last) {
		s.frame.CapturedAt = s.last.Add(time.Microsecond)
	}
	s.last = s.frame.CapturedAt
}

// pace waits until a file's frame is due, or until the frame before it was answered.
func (s *session) pace(ctx context.Context) error {
	switch {
	case s.frame.Clock != bus.ClockFile:
		return nil
	case s.answers != nil:
		return s.answers.wait(ctx, s.frame.Seq, s.timer)
	}
	wait := time.Until(s.frame.CapturedAt)
	if wait <= 0 {
		return ctx.Err()
	}
	s.timer.Reset(wait)
	select {
	case <-s.timer.C:
		return nil
	case <-ctx.Done():
		s.timer.Stop()
		return ctx.Err()
	}
}

// publish sends the frame whose pixels lie in the publisher's target.
func (s *session) publish(ctx context.Context, p decode.Picture) error {
	s.seq++
	f := &s.frame
	f.Seq, f.Width, f.Height, f.Dropped = s.seq, p.Width, p.Height, s.missed
	f.Detector = s.camera.Detector()
	if err := s.out.publish(ctx, f); err != nil {
		s.missed++
		s.camera.report.dropped(1, droppedPublish)
		s.camera.report.complain(err)
		return ctx.Err()
	}
	s.missed = 0
	s.camera.report.published(f)
	return nil
}
