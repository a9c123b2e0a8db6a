package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/discord"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/mattermost"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/gotify"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"
)

// Shout sends messages to one shoutrrr URL, one at a time.
type Shout struct {
	url     string
	service types.Service // nil when it is to be opened; of who has the turn
	courier *Courier
	mail    *mailer // instead of the service, where that is mail
	markup  markup
	secrets *strings.Replacer
	turn    chan struct{} // holds one token while a message is sent
}

// NewShout returns what sends to the URL, by the courier, which has to be http.DefaultTransport
// by then. It sends nothing yet. The error shows no secret.
func NewShout(rawURL string, courier *Courier) (*Shout, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" {
		return nil, errors.New("the target is no URL")
	}
	s := &Shout{url: rawURL, courier: courier, markup: markupOf(u), secrets: redactor(u), turn: make(chan struct{}, 1)}
	if strings.EqualFold(u.Scheme, matrix.Scheme) {
		err = new(matrix.Config).SetURL(u) // its service logs in when it is opened
	} else {
		err = s.open()
	}
	if err != nil {
		return nil, s.redact(err)
	}
	return s, nil
}

func (s *Shout) open() error {
	service, err := new(router.ServiceRouter).Locate(s.url)
	if err != nil {
		return err
	}
	switch service := service.(type) { // those that have a transport of their own
	case *mattermost.Service:
		service.GetHTTPClient().Transport = s.courier
	case *gotify.Service:
		service.GetHTTPClient().Transport = s.courier
	case *ntfy.Service:
		service.SetHTTPClient(&http.Client{Transport: s.courier})
	case *discord.Service:
		service.HTTPClient = once{&http.Client{Transport: s.courier}}
	case *smtp.Service:
		s.mail = newMailer(service, s.courier)
	}
	s.service = service
	return nil
}

// errBusy says that a service did not come back from an earlier message.
var errBusy = errors.New("an earlier message is still being sent")

// Send sends the message. When ctx ends first its end is not waited for, and nothing else is
// sent to this target until it comes.
func (s *Shout) Send(ctx context.Context, message string) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return errBusy
	}
	if s.mail != nil {
		defer func() { <-s.turn }()
		if err := s.mail.send(ctx, message); err != nil {
			return s.redact(err)
		}
		return nil
	}
	sent := make(chan error, 1)
	go func() {
		defer func() { <-s.turn }()
		sent <- s.send(message)
	}()
	select {
	case err := <-sent:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errBusy, ctx.Err())
	}
}

func (s *Shout) send(message string) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.redact(fmt.Errorf("the service panicked: %v", r))
		}
	}()
	if s.service == nil {
		if err := s.open(); err != nil {
			return s.redact(err)
		}
	}
	if err := s.service.Send(message, &types.Params{}); err != nil {
		if _, ok := s.service.(*matrix.Service); ok {
			s.service = nil // its login may be over: the next try logs in again
		}
		return s.redact(err)
	}
	return nil
}

// once gives rate limits and failures to us instead of to the service's own retries, which would
// sleep: the runner waits better.
type once struct{ client *http.Client }

func (o once) Do(req *http.Request) (*http.Response, error) {
	resp, err := o.client.Do(req) //nolint:gosec // the guard looks at where it goes
	if err != nil {
		return nil, withoutURL(err)
	}
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= http.StatusInternalServerError {
		_ = resp.Body.Close() // of no interest
		return nil, StatusError{Code: resp.StatusCode}
	}
	return resp, nil
}
