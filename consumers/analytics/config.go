package analytics

import (
	"fmt"
	"time"
)

// Name is the consumer's in metrics, readiness and dead letters. SessionsName is that of its
// durable consumer of SESSIONS.
const (
	Name         = "analytics"
	SessionsName = Name + "_sessions"
)

// Database says where the rows are.
type Database struct {
	DSN string `env:"CONSUMER_ANALYTICS_DSN" envDefault:"sqlite://./consumer-data/analytics.db" secret:"true" doc:"sqlite:///path/file.db, or postgres://user:password@host/database"`
}

// Check implements settings.Checker.
func (d Database) Check() []error {
	if err := checkDSN(d.DSN); err != nil {
		return []error{err}
	}
	return nil
}

// Config is what the environment says.
type Config struct {
	Database
	Batch     int           `env:"CONSUMER_ANALYTICS_BATCH" envDefault:"1000" doc:"events of one transaction at most"`
	MaxBytes  int           `env:"CONSUMER_ANALYTICS_MAX_BYTES" envDefault:"33554432" doc:"bytes of events in memory at most, and as many of sessions, as NATS has them"`
	Timeout   time.Duration `env:"CONSUMER_ANALYTICS_TIMEOUT" envDefault:"1m" doc:"how long one transaction may take until it is tried again"`
	Retention time.Duration `env:"CONSUMER_ANALYTICS_RETENTION" envDefault:"8760h" doc:"events and ended sessions older than this are deleted. 0s is never"`
}

const maxBatch = 100_000

// Check implements settings.Checker. Database has its own.
func (c Config) Check() []error {
	var problems []error
	if c.Batch < 1 || c.Batch > maxBatch {
		problems = append(problems, fmt.Errorf("CONSUMER_ANALYTICS_BATCH=%d: want 1 to %d", c.Batch, maxBatch))
	}
	if c.MaxBytes < 0 {
		problems = append(problems, fmt.Errorf("CONSUMER_ANALYTICS_MAX_BYTES=%d: may not be negative", c.MaxBytes))
	}
	if c.Timeout < 0 {
		problems = append(problems, fmt.Errorf("CONSUMER_ANALYTICS_TIMEOUT=%v: may not be negative", c.Timeout))
	}
	if c.Retention < 0 {
		problems = append(problems, fmt.Errorf("CONSUMER_ANALYTICS_RETENTION=%v: may not be negative", c.Retention))
	}
	return problems
}
