package provision

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Commands returns the commands, for a shell and the nats tool 0.5, that make the same
// streams and buckets as Ensure, one each.
func Commands(o Options) ([]string, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	var list []string
	for _, d := range definitions(o) {
		command, err := d.command()
		if err != nil {
			return nil, err
		}
		list = append(list, command)
	}
	return list, nil
}

func (d definition) command() (string, error) {
	c := d.config
	if d.bucket {
		args := []string{
			"nats kv add " + strings.TrimPrefix(c.Name, "KV_"), quoted("description", c.Description), "--storage=file",
			fmt.Sprintf("--history=%d", c.MaxMsgsPerSubject), fmt.Sprintf("--max-bucket-size=%dB", c.MaxBytes),
			fmt.Sprintf("--marker-ttl=%s", c.SubjectDeleteMarkerTTL), fmt.Sprintf("--replicas=%d", c.Replicas),
		}
		if c.MaxAge > 0 {
			args = append(args, fmt.Sprintf("--ttl=%s", c.MaxAge))
		}
		return strings.Join(args, " "), nil
	}
	// By its flags the tool takes no more than 2 GiB.
	var config strings.Builder
	enc := json.NewEncoder(&config)
	enc.SetEscapeHTML(false) // some shells' echo knows backslashes
	if err := enc.Encode(c); err != nil {
		return "", fmt.Errorf("%s: %w", d.object, err)
	}
	return fmt.Sprintf("echo '%s' | nats stream add %s --config=/dev/stdin", strings.TrimSpace(config.String()), c.Name), nil
}

// quoted is a flag for a shell; no text of ours has a quote.
func quoted(flag, value string) string { return "--" + flag + "='" + value + "'" }
