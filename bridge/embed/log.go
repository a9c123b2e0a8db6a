package embed

import (
	"fmt"
	"log/slog"
)

// logger hands the server's log to slog: its notices as debug, because an
// operator of the bridge did not ask for a NATS start-up report.
type logger struct {
	log   *slog.Logger
	fatal chan<- string // the first fatal message; the server stops after it
}

func (l *logger) Noticef(format string, v ...any) { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Debugf(format string, v ...any)  { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Tracef(format string, v ...any)  { l.log.Debug("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Warnf(format string, v ...any)   { l.log.Warn("nats: " + fmt.Sprintf(format, v...)) }
func (l *logger) Errorf(format string, v ...any)  { l.log.Error("nats: " + fmt.Sprintf(format, v...)) }

// Fatalf does not log: the message is the error of Start.
func (l *logger) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
		l.log.Error("nats: " + fmt.Sprintf(format, v...))
	}
}
