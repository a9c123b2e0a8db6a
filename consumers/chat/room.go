package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"
	"time"

	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
	"bintubridge/subjects"
)

// Document is a value of the KV bucket chat_rooms. Unknown fields are an error.
type Document struct {
	Names      []string  `json:"names"`                // of streams, * is any run of bytes
	URL        string    `json:"url"`                  // shoutrrr's
	Templates  Templates `json:"templates,omitzero"`   // of text/template, over Told; "" is the default
	Milestones []int     `json:"milestones,omitempty"` // numbers of viewers, rising; none is 10, 100, 1000, 10000
}

// Templates are the messages.
type Templates struct {
	Live      string `json:"live,omitempty"`
	Ended     string `json:"ended,omitempty"`
	Back      string `json:"back,omitempty"`
	Milestone string `json:"milestone,omitempty"`
}

// Told is what a template may use. Texts are safe for the room's service.
type Told struct {
	Name, App   string
	Duration    time.Duration // whole seconds; of ended
	PeakViewers int           // of ended
	Viewers     int           // of live, back and milestone
	Milestone   int           // of milestone
	Lost        bool          // of ended: nobody told the end
}

const (
	live      = "live"
	ended     = "ended"
	back      = "back"
	milestone = "milestone"

	maxMessage = 2000 // bytes, the least that a service takes
)

// room is a document that was understood.
type room struct {
	key        string
	names      []string
	milestones []int
	templates  map[string]*template.Template
	shout      *outbound.Shout
}

func compile(d documents.Document, courier *outbound.Courier) (*room, error) {
	if err := documents.CheckKey(d.Key); err != nil {
		return nil, err
	}
	var doc Document
	if err := documents.Decode(d.Value, &doc); err != nil {
		return nil, err
	}
	r := &room{key: d.Key, names: doc.Names, milestones: doc.Milestones, templates: map[string]*template.Template{}}
	if len(r.milestones) == 0 {
		r.milestones = []int{10, 100, 1000, 10_000}
	}
	if len(r.names) == 0 || !slices.IsSorted(r.milestones) || r.milestones[0] < 1 {
		return nil, errors.New("want one name or more, and milestones that rise from 1 on")
	}
	for _, t := range []struct{ name, text, fallback string }{
		{live, doc.Templates.Live, "{{.Name}} is live"},
		{ended, doc.Templates.Ended, "{{.Name}} ended after {{.Duration}}, with up to {{.PeakViewers}} viewers"},
		{back, doc.Templates.Back, "{{.Name}} is back after a drop"},
		{milestone, doc.Templates.Milestone, "{{.Name}} has {{.Milestone}} viewers"},
	} {
		if err := r.parse(t.name, t.text, t.fallback); err != nil {
			return nil, err
		}
	}
	var err error
	if r.shout, err = outbound.NewShout(doc.URL, courier); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return r, nil
}

// parse compiles a template and tries it, so that mistakes come to light now.
func (r *room) parse(name, text, fallback string) error {
	if text == "" {
		text = fallback
	}
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return fmt.Errorf("templates: %w", err)
	}
	if err := checkTemplate(t); err != nil {
		return fmt.Errorf("templates: %s: %w", name, err)
	}
	r.templates[name] = t
	_, err = r.render(name, Told{Name: "lobby", App: "live", Duration: time.Hour, PeakViewers: 7, Viewers: 7, Milestone: 5})
	return err
}

func (r *room) render(name string, told Told) (string, error) {
	var m message
	if err := r.templates[name].Execute(&m, told); err != nil {
		return "", fmt.Errorf("templates: %w", err)
	}
	if strings.TrimSpace(m.text.String()) == "" {
		return "", fmt.Errorf("templates: %s gives nothing", name)
	}
	return m.text.String(), nil
}

func (r *room) wants(name string) bool {
	return slices.ContainsFunc(r.names, func(p string) bool { return documents.MatchName(p, name) })
}

func (r *room) told(s *subjects.Session, viewers int) Told {
	return Told{
		Name: r.shout.Text(s.Name), App: r.shout.Text(s.App), Duration: (time.Duration(s.DurationMS) * time.Millisecond).Round(time.Second),
		PeakViewers: s.PeakViewers, Viewers: viewers, Lost: s.HowEnded == subjects.EndedTimeout,
	}
}
