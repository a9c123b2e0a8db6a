package admin

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

const (
	eventsTimeout   = 10 * time.Second // for one write to a viewer
	eventsHeartbeat = 15 * time.Second // so that a proxy keeps the connection, and a dead viewer is noticed
)

// events streams a sample of the events as server-sent events. Each message is
// {"left_out":N,"events":[{"outcome":…,"seq":…,"event":{…}},…]}, at most ten a second.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	v, err := s.cfg.Feed.watch()
	if err != nil {
		w.Header().Set("Retry-After", "10")
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.cfg.Feed.leave(v)

	w.Header().Set("Content-Type", "text/event-stream")
	stream := viewerStream{w: w, control: http.NewResponseController(w)}
	heartbeat := time.NewTicker(eventsHeartbeat)
	defer heartbeat.Stop()
	message := []byte("retry: 2000\n\n")
	for {
		if err := stream.write(message); err != nil {
			s.cfg.Log.Debug("a viewer of the feed left", "error", err)
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.stopping:
			return
		case <-heartbeat.C:
			message = []byte(":\n\n")
		case b := <-v.batches:
			message = b.appendMessage(message[:0])
		}
	}
}

func (b batch) appendMessage(dst []byte) []byte {
	dst = append(dst, `data: {"left_out":`...)
	dst = strconv.AppendUint(dst, b.leftOut, 10)
	dst = append(dst, `,"events":[`...)
	dst = append(dst, b.events...)
	return append(dst, "]}\n\n"...)
}

// viewerStream writes messages to a viewer that may be slow or gone.
type viewerStream struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// write gives each message a time limit of its own: the server's is for whole replies.
func (v viewerStream) write(message []byte) error {
	if err := v.control.SetWriteDeadline(time.Now().Add(eventsTimeout)); err != nil {
		return fmt.Errorf("set the time limit: %w", err)
	}
	if _, err := v.w.Write(message); err != nil {
		return err
	}
	return v.control.Flush()
}
