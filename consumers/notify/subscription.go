package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"bintubridge/consumers/documents"
	"bintubridge/consumers/outbound"
)

// Document is a value of the KV bucket subscriptions. Unknown fields are an error.
type Document struct {
	Who      string   `json:"who"`                // for people
	Subjects []string `json:"subjects"`           // NATS filters of stream.> and session.>: one has to match
	Names    []string `json:"names,omitempty"`    // of streams, * is any run of bytes: one has to match; none is all
	URL      string   `json:"url"`                // https://… is a webhook, all else is shoutrrr's
	Secrets  []string `json:"secrets,omitempty"`  // of a webhook, the newest first: whsec_…
	Disabled string   `json:"disabled,omitempty"` // why nothing is delivered any more
}

// Webhook reports whether the target is a webhook.
func (d *Document) Webhook() bool {
	return strings.HasPrefix(d.URL, "https://") || strings.HasPrefix(d.URL, "http://")
}

// Target says where the URL leads, without its secrets.
func (d *Document) Target() string {
	u, err := url.Parse(d.URL)
	switch {
	case err != nil:
		return "not a URL"
	case d.Webhook():
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme
}

const (
	maxList    = 100 // subjects or names of a subscription
	maxSecrets = 4
)

func (d *Document) check() error {
	if len(d.Subjects) == 0 || len(d.Subjects) > maxList || len(d.Names) > maxList {
		return fmt.Errorf("subjects: want 1 to %d; names: at most %d", maxList, maxList)
	}
	for _, filter := range d.Subjects {
		if err := documents.CheckSubject(filter); err != nil {
			return fmt.Errorf("subjects: %w", err)
		}
	}
	if !d.Webhook() {
		if len(d.Secrets) > 0 {
			return errors.New("secrets: only webhooks have some")
		}
		return nil
	}
	if u, err := url.Parse(d.URL); err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return errors.New("url: want https://host/path, without user and fragment")
	}
	if len(d.Secrets) == 0 || len(d.Secrets) > maxSecrets {
		return fmt.Errorf("secrets: a webhook has 1 to %d", maxSecrets)
	}
	return nil
}

// subscription is a document that was understood.
type subscription struct {
	Document
	key      string
	revision uint64
	keys     [][]byte
	shout    *outbound.Shout // nil for a webhook
}

// post sends to targets.
type post struct {
	client  *outbound.Client
	courier *outbound.Courier
}

// newPost sends by the courier, which has to be http.DefaultTransport, or an error is returned.
func newPost(courier *outbound.Courier) (*post, error) {
	if err := courier.Installed(); err != nil {
		return nil, err
	}
	return &post{outbound.NewClient(courier.Guard()), courier}, nil
}

func (p *post) close() {
	p.client.Close()
	p.courier.CloseIdleConnections()
}

// compile returns the subscription, or why the document is none.
func (p *post) compile(d documents.Document) (*subscription, error) {
	s := &subscription{key: d.Key, revision: d.Revision}
	if err := documents.CheckKey(d.Key); err != nil {
		return nil, err
	}
	if err := documents.Decode(d.Value, &s.Document); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, err
	}
	for _, text := range s.Secrets {
		key, err := parseSecret(text)
		if err != nil {
			return nil, err
		}
		s.keys = append(s.keys, key)
	}
	if s.Webhook() {
		return s, nil
	}
	var err error
	if s.shout, err = outbound.NewShout(s.URL, p.courier); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	return s, nil
}

// wants reports whether the subscription is for a message of this subject and stream name.
func (s *subscription) wants(subject, name string) bool {
	if s.Disabled != "" {
		return false
	}
	matches := false
	for _, filter := range s.Subjects {
		matches = matches || documents.MatchSubject(filter, subject)
	}
	if !matches || len(s.Names) == 0 {
		return matches
	}
	for _, pattern := range s.Names {
		if documents.MatchName(pattern, name) {
			return true
		}
	}
	return false
}

// send makes one try.
func (p *post) send(ctx context.Context, s *subscription, n *notice) error {
	if s.shout != nil {
		return s.shout.Send(ctx, n.text(s.shout.Text))
	}
	body, err := n.body()
	if err != nil {
		return err
	}
	id := n.id + "_" + s.key
	return p.client.Post(ctx, s.URL, sign(s.keys, id, time.Now(), body), body)
}
