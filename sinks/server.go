package sinks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/sightline/sightline/pipeline/bus"
	"github.com/sightline/sightline/sinks/viewer"
)

// Config says how pictures are served. The zero value serves to loopback with the defaults that are named here.
type Config struct {
	Listen           string   // address that the HTTP server listens on; decides on loopback candidates; "" = loopback
	MaxWidth         int      // of annotated pictures; 1280
	MaxHeight        int      // 720
	Quality          int      // of snapshots; 85
	Encoder          string   // libavcodec's name of the H.264 encoder; "" = the first that works
	MaxViewers       int      // 64
	MaxCameraViewers int      // 32
	MediaPort        int      // one UDP port for the media of all viewers; 0 = a port each
	MediaHosts       []string // addresses that viewers are told instead of the interfaces' own (NAT, containers)
	Origins          []string // other origins ("https://wall.example") whose pages may play
	Cameras          []string // known before they are heard of
	SnapshotBytes    int64    // memory for the best pictures of tracks; 0 = none are kept
	SnapshotHeight   int      // of these, at most; 720
	SnapshotQuality  int      // of these; 85
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		v  *int
		to int
	}{{&c.MaxWidth, 1280}, {&c.MaxHeight, 720}, {&c.Quality, 85}, {&c.MaxViewers, 64}, {&c.MaxCameraViewers, 32}, {&c.SnapshotHeight, 720}, {&c.SnapshotQuality, 85}} {
		if *d.v <= 0 {
			*d.v = d.to
		}
	}
	c.MaxWidth, c.MaxHeight = max(16, c.MaxWidth&^1), max(16, c.MaxHeight&^1)
	return c
}

// Server serves pictures and states of all cameras on the bus.
type Server struct {
	cfg      Config
	conn     *bus.Conn
	log      *slog.Logger
	loopback bool
	cameras  *cameras
	counters counters
	mapper   *bus.Mapper
	album    *album        // nil: no pictures of tracks are kept
	patience time.Duration // with viewers that do not connect

	mu         sync.Mutex      // guards what follows
	ctx        context.Context // of Run; nil while it does not run
	rtc        *rtc
	annotators map[string]*annotator
	sessions   map[string]*session
	viewers    map[string]int // by camera, with those being set up
	total      int            // sum of viewers
	running    sync.WaitGroup // annotators and sessions
}

// New makes a server that reads from conn.
func New(cfg Config, conn *bus.Conn, log *slog.Logger) *Server {
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, conn: conn, log: log, loopback: loopbackOnly(cfg.Listen), cameras: newCameras(cfg.Cameras),
		mapper: bus.NewMapper(), patience: connectTimeout, annotators: map[string]*annotator{}, sessions: map[string]*session{}, viewers: map[string]int{}}
	if cfg.SnapshotBytes > 0 {
		s.album = newAlbum(cfg, s.mapper, log)
	}
	return s
}

// Run serves until ctx ends, and returns when every session and annotator has ended. It may run once.
func (s *Server) Run(ctx context.Context) (err error) {
	r, err := newRTC(s.cfg, s.loopback, s.log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close(), s.mapper.Close()) }()
	stop, err := s.listen()
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.ctx, s.rtc = ctx, r
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.ctx, s.rtc = nil, nil // nothing starts from here on
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

// listen subscribes to what the list of cameras and the album are made of.
func (s *Server) listen() (stop func(), err error) {
	var subs []*bus.Subscription
	stop = func() {
		for _, sub := range subs {
			sub.Close()
		}
		if s.album != nil {
			s.album.close()
		}
	}
	add := func(sub *bus.Subscription, e error) {
		if e == nil {
			subs = append(subs, sub)
		} else if err == nil {
			err = fmt.Errorf("watch cameras: %w", e)
		}
	}
	add(s.conn.SubscribeStatus("*", s.cameras.onStatus))
	add(s.conn.SubscribeEvents("*", s.cameras.onEvent))
	add(s.conn.SubscribeDetections("*", s.cameras.onDetections))
	add(s.conn.SubscribeTracks("*", s.cameras.onTracks))
	add(s.conn.SubscribeScenes("*", s.cameras.onScene))
	if s.album != nil {
		add(s.conn.SubscribeFrames("*", s.album.recent.add))
		add(s.conn.SubscribeTracks("*", s.album.onTracks))
	}
	if err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}

var errNotRunning = errors.New("the server is not running")

// acquire gives the camera's annotator, started where none runs, and the function that lets go of it.
func (s *Server) acquire(camera string) (*annotator, func(), error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx == nil {
		return nil, nil, errNotRunning
	}
	a := s.annotators[camera]
	if a == nil {
		a = newAnnotator(camera, s.cfg, s.conn, s.mapper, &s.counters, s.log)
		a.look = func(p *places) { s.cameras.places(camera, p) }
		s.annotators[camera] = a
		ctx := s.ctx
		s.running.Go(func() {
			if err := a.run(ctx, func() bool { return s.retire(a) }); err != nil {
				s.log.Error("annotator ended", "error", err)
			}
			s.forget(a)
		})
	}
	a.users++
	release := sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		a.users--
		a.idleSince = time.Now()
	})
	return a, release, nil
}

// retire lets an annotator end that nobody has used for a while.
func (s *Server) retire(a *annotator) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.users > 0 || time.Since(a.idleSince) < lingerUnused {
		return false
	}
	delete(s.annotators, a.camera)
	return true
}

// forget is for annotators that ended by a fault: the next watcher starts a new one.
func (s *Server) forget(a *annotator) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.annotators[a.camera] == a {
		delete(s.annotators, a.camera)
	}
}

// fullError is returned when a session cannot be had now, but perhaps later.
type fullError struct{ cause string }

func (e *fullError) Error() string { return e.cause }

// reserve counts a viewer in before anything is spent on it.
func (s *Server) reserve(camera string) (*rtc, context.Context, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ctx == nil:
		return nil, nil, &fullError{errNotRunning.Error()}
	case s.total >= s.cfg.MaxViewers:
		return nil, nil, &fullError{fmt.Sprintf("%d viewers are watching, which is the most", s.total)}
	case s.viewers[camera] >= s.cfg.MaxCameraViewers:
		return nil, nil, &fullError{fmt.Sprintf("camera %s: %d viewers are watching, which is the most", camera, s.viewers[camera])}
	}
	s.total++
	s.viewers[camera]++
	s.running.Add(1)
	return s.rtc, s.ctx, nil
}

// leave undoes reserve.
func (s *Server) leave(camera string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.viewers[camera]--; s.viewers[camera] == 0 {
		delete(s.viewers, camera)
	}
	s.running.Done()
}

// open begins a session that runs until the viewer leaves or the server ends.
func (s *Server) open(camera, offer string) (*session, error) {
	r, ctx, err := s.reserve(camera)
	if err != nil {
		return nil, err
	}
	a, release, err := s.acquire(camera)
	if err != nil {
		s.leave(camera)
		return nil, &fullError{err.Error()}
	}
	ses, err := newSession(r, offer, camera, a, s.log)
	if err != nil {
		release()
		s.leave(camera)
		return nil, err
	}
	ses.patience = s.patience
	ctx, ses.stop = context.WithCancel(ctx)
	s.mu.Lock()
	s.sessions[ses.id] = ses
	s.mu.Unlock()
	go func() {
		defer s.leave(camera)
		defer release()
		defer s.remove(ses)
		defer ses.stop()
		ses.run(ctx)
	}()
	return ses, nil
}

func (s *Server) remove(ses *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, ses.id)
}

// session finds a running session of a camera, or nil.
func (s *Server) session(camera, id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ses := s.sessions[id]; ses != nil && ses.camera == camera {
		return ses
	}
	return nil
}

// Handler serves the routes that api.go lists. Sessions and snapshots answer 503 while Run does not run.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /", viewer.Handler())
	mux.HandleFunc("GET /api/cameras", s.listCameras)
	mux.HandleFunc("GET /api/events/{event}/snapshot.jpg", s.trackSnapshot)
	mux.HandleFunc("GET /{camera}/latest.jpg", s.latest)
	mux.HandleFunc("POST /{camera}/annotated/whep", s.whepOffer)
	mux.HandleFunc("OPTIONS /{camera}/annotated/whep", whepOptions)
	mux.HandleFunc("OPTIONS /{camera}/annotated/whep/{id}", whepOptions)
	mux.HandleFunc("PATCH /{camera}/annotated/whep/{id}", s.whepPatch)
	mux.HandleFunc("DELETE /{camera}/annotated/whep/{id}", s.whepEnd)
	return s.guard(mux)
}

func (s *Server) listCameras(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	viewers := make(map[string]int, len(s.viewers))
	for camera, n := range s.viewers {
		viewers[camera] = n
	}
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(s.cameras.list(viewers))
}

// Stats may be called at any time from any goroutine.
func (s *Server) Stats() Stats {
	out := s.counters.stats()
	if s.album != nil {
		s.album.stats(&out)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out.Viewers, out.Annotators = s.total, len(s.annotators)
	return out
}
