package bridge

import (
	"cmp"
	"context"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"

	"bintubridge/subjects"
)

// shownStreams is how many live streams the page shows; the rest it counts.
const shownStreams = 200

// liveStream is what the page shows of a value of KV live, which consumers/sessions writes.
type liveStream struct {
	Name       string    `json:"name"`
	App        string    `json:"app"`
	Addr       string    `json:"addr"`
	ClientID   string    `json:"clientid"`
	Since      time.Time `json:"since"`
	Viewers    int       `json:"viewers"`
	LastSeen   time.Time `json:"last_seen"`
	Rule       string    `json:"rule"`
	Reconnects int       `json:"reconnects"`
}

// queryLive answers with the streams that have most viewers, of those whose name, app or
// address contains the question's text.
func (b *Bridge) queryLive(_ context.Context, question url.Values) (any, error) {
	answer := struct {
		contents
		Streams int          `json:"streams"` // that are live
		Viewers int          `json:"viewers"` // of all
		Found   int          `json:"found"`   // streams that contain the text
		List    []liveStream `json:"list"`
	}{List: []liveStream{}}
	text := question.Get("q")
	answer.contents = b.live.look(func(value []byte) {
		var s liveStream
		if json.Unmarshal(value, &s) != nil {
			return // not of a session
		}
		answer.Streams++
		answer.Viewers += s.Viewers
		if strings.Contains(s.Name, text) || strings.Contains(s.App, text) || strings.Contains(s.Addr, text) {
			answer.List = append(answer.List, s)
		}
	})
	slices.SortFunc(answer.List, func(a, b liveStream) int {
		return cmp.Or(cmp.Compare(b.Viewers, a.Viewers), strings.Compare(a.Name, b.Name), strings.Compare(a.ClientID, b.ClientID))
	})
	answer.Found = len(answer.List)
	answer.List = answer.List[:min(len(answer.List), shownStreams)]
	return answer, nil
}

// queryFleet answers with what every bridge says of itself.
func (b *Bridge) queryFleet(context.Context, url.Values) (any, error) {
	answer := struct {
		contents
		Self string                  `json:"self"`
		Now  time.Time               `json:"now"`
		List []subjects.BridgeStatus `json:"list"`
	}{Self: b.cfg.Name, Now: time.Now().UTC(), List: []subjects.BridgeStatus{}}
	answer.contents = b.bridges.look(func(value []byte) {
		var s subjects.BridgeStatus
		if json.Unmarshal(value, &s) == nil {
			answer.List = append(answer.List, s)
		}
	})
	slices.SortFunc(answer.List, func(a, b subjects.BridgeStatus) int { return strings.Compare(a.Bridge, b.Bridge) })
	return answer, nil
}
