package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"mime"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	netsmtp "net/smtp"
	"os"
	"strconv"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/services/email/smtp"
)

// mailer sends mail. Shoutrrr understands the URL, and the rest is here: its own service bounds nothing but
// the dial, so that one silent server would hold the target for ever, and it dials past the guard.
type mailer struct {
	config  smtp.Config
	courier *Courier // its guard; nil where nothing is sent
}

// mailTimeout bounds a mail: servers take their time to greet strangers.
const mailTimeout = time.Minute

func newMailer(service *smtp.Service, courier *Courier) *mailer {
	m := &mailer{service.Config.Clone(), courier}
	m.config.FixEmailTags()
	return m
}

// send sends the message to all recipients, and leaves nothing behind when ctx ends.
func (m *mailer) send(ctx context.Context, message string) error {
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	conn, err := m.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() }) // what waits for the server fails
	defer stop()
	err = m.talk(ctx, conn, message)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("the mail server does not answer: %w", ctx.Err())
	}
	return err
}

// implicit reports whether the connection begins with TLS.
func (m *mailer) implicit() bool {
	return m.config.Encryption == smtp.EncImplicitTLS || m.config.Encryption == smtp.EncAuto && m.config.Port == smtp.ImplicitTLSPort
}

func (m *mailer) tls() *tls.Config {
	return &tls.Config{ServerName: m.config.Host, MinVersion: tls.VersionTLS12, InsecureSkipVerify: m.config.SkipTLSVerify} //nolint:gosec // as the operator says
}

func (m *mailer) dial(ctx context.Context) (net.Conn, error) {
	d := &net.Dialer{Timeout: m.config.Timeout, Control: m.courier.guard.control}
	addr := net.JoinHostPort(m.config.Host, strconv.Itoa(int(m.config.Port)))
	if m.implicit() {
		return (&tls.Dialer{NetDialer: d, Config: m.tls()}).DialContext(ctx, "tcp", addr)
	}
	return d.DialContext(ctx, "tcp", addr)
}

func (m *mailer) talk(ctx context.Context, conn net.Conn, message string) error {
	c, err := netsmtp.NewClient(conn, m.config.Host)
	if err != nil {
		return fmt.Errorf("greeting: %w", err)
	}
	if err := m.begin(c); err != nil {
		return err
	}
	var errs []error
	for _, to := range m.config.ToAddresses {
		if err := m.deliver(c, to, message); err != nil {
			errs = append(errs, fmt.Errorf("to %s: %w", to, err))
			if ctx.Err() != nil || c.Reset() != nil {
				break
			}
		}
	}
	_ = c.Quit() // what the server took is delivered, whatever it says to this
	return errors.Join(errs...)
}

// begin says who we are.
func (m *mailer) begin(c *netsmtp.Client) error {
	host := m.config.ClientHost
	if name, err := os.Hostname(); host == "auto" && err == nil {
		host = name
	}
	if err := c.Hello(host); err != nil {
		return fmt.Errorf("HELO: %w", err)
	}
	if m.config.UseStartTLS && !m.implicit() {
		offered, _ := c.Extension("STARTTLS")
		switch {
		case offered:
			if err := c.StartTLS(m.tls()); err != nil {
				return fmt.Errorf("STARTTLS: %w", err)
			}
		case m.config.RequireStartTLS:
			return smtp.ErrServerNoStartTLS
		}
	}
	var auth netsmtp.Auth
	switch m.config.Auth {
	case smtp.AuthPlain:
		auth = netsmtp.PlainAuth("", m.config.Username, m.config.Password, m.config.Host)
	case smtp.AuthCRAMMD5:
		auth = netsmtp.CRAMMD5Auth(m.config.Username, m.config.Password)
	case smtp.AuthOAuth2:
		auth = smtp.OAuth2Auth(m.config.Username, m.config.Password)
	default:
		return nil
	}
	if err := c.Auth(auth); err != nil {
		return fmt.Errorf("AUTH: %w", err)
	}
	return nil
}

// deliver sends one mail to one recipient.
func (m *mailer) deliver(c *netsmtp.Client, to, message string) error {
	if err := c.Mail(m.config.FromAddress); err != nil {
		return fmt.Errorf("MAIL: %w", err)
	}
	if err := c.Rcpt(to); err != nil {
		return fmt.Errorf("RCPT: %w", err)
	}
	w, err := c.Data()
	if err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	kind := "plain"
	if m.config.UseHTML {
		kind = "html"
	}
	from := netmail.Address{Name: m.config.FromName, Address: m.config.FromAddress}
	_, err = fmt.Fprintf(w, "Date: %s\nFrom: %s\nTo: <%s>\nSubject: %s\nMIME-Version: 1.0\nContent-Type: text/%s; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n",
		time.Now().Format(time.RFC1123Z), from.String(), to, mime.QEncoding.Encode("utf-8", m.config.Subject), kind)
	body := quotedprintable.NewWriter(w)
	_, bodyErr := body.Write([]byte(message))
	if err := errors.Join(err, bodyErr, body.Close(), w.Close()); err != nil {
		return fmt.Errorf("DATA: %w", err)
	}
	return nil
}
