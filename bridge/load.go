package bridge

import (
	"errors"
	"fmt"
	"os"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/settings"
	"bintubridge/bridge/spool"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
	"bintubridge/subjects/provision"
)

// Load reads the configuration from environ, entries NAME=value as os.Environ
// gives them. Its error lists every mistake, one a line, and shows no secret.
// A variable that is set but empty has its default.
func Load(environ []string) (Config, error) {
	cfg, problems := settings.Load[Config](settings.Lookup(environ),
		settings.Parser(decide.ParseEffect),
		settings.Parser(webhook.ParseDialect),
		settings.Parser(spool.ParseSyncMode),
		settings.Parser(subjects.ParseTemplate),
		settings.Parser(provision.ParseMode),
	)
	if cfg.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			problems = append(problems, fmt.Errorf("BRIDGE_NAME is not set and the host has no name: %w", err))
		}
		cfg.Name = host
	}
	return cfg, errors.Join(problems...)
}

// Unknown returns the BRIDGE_ variables in environ that mean nothing to this
// version: most likely misspelt, or of another version.
func Unknown(environ []string) []string { return settings.Unknown[Config](environ, "BRIDGE_") }

// Usage describes every variable, as bridge -h prints it.
func Usage() string { return settings.Usage[Config]() }
