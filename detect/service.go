package detect

import "sync"

// service is the engine that a worker has, which may be replaced while frames are looked at. It is safe for concurrent use.
type service struct {
	mu  sync.Mutex // protects what follows
	now *lease
}

// lease counts who uses an engine.
type lease struct {
	*Engine
	users sync.WaitGroup
}

// use gives the engine for one frame; done must be called on it.
func (s *service) use() *lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now.users.Add(1)
	return s.now
}

func (l *lease) done() { l.users.Done() }

// engine is the one that the next frame gets.
func (s *service) engine() *Engine {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now.Engine
}

// replace gives the next frames to another engine, and returns the one before when no frame has it any more.
func (s *service) replace(next *Engine) *Engine {
	s.mu.Lock()
	before := s.now
	s.now = &lease{Engine: next}
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	before.users.Wait()
	return before.Engine
}
