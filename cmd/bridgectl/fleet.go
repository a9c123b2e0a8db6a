package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"bintubridge/subjects"
)

// waitFlag is --wait[=D].
type waitFlag struct{ d time.Duration }

const defaultWait = 10 * time.Second

// Set refuses a time that would be taken for no wait at all.
func (f *waitFlag) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil && d < 0 {
		err = errors.New("want a time that is to come")
	}
	if err != nil {
		return err
	}
	f.d = d
	return nil
}

func (f *waitFlag) String() string {
	if f.d == 0 {
		return ""
	}
	return f.d.String()
}

// Type names it in the help.
func (f *waitFlag) Type() string { return "duration" }

func (f *waitFlag) add(cmd *cobra.Command) {
	cmd.Flags().Var(f, "wait", "wait until every bridge runs the new revision, 10s or the time given as --wait=1m")
	cmd.Flags().Lookup("wait").NoOptDefVal = defaultWait.String()
}

// arrival says whether a bridge runs a revision.
type arrival struct {
	Bridge   string `json:"bridge"`
	State    string `json:"state"` // runs, behind, refused or unknown
	Revision uint64 `json:"revision"`
	Detail   string `json:"detail,omitempty"`
}

const (
	stateRuns    = "runs"
	stateBehind  = "behind"
	stateRefused = "refused"
	stateUnknown = "unknown" // it refuses more documents than it names
)

// awaitFleet waits until every bridge that follows the bucket has taken in the
// revision, which wrote the keys. It is an error when one has not after d, has
// refused one of the keys, or may have, or when there is no bridge. The first look
// at the bridges is not of that time: a verdict has seen all of them.
func awaitFleet(ctx context.Context, b *bucket, d time.Duration, revision uint64, keys []string, print func(string, ...any)) ([]arrival, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	kv, err := b.js.KeyValue(ctx, subjects.BucketBridges)
	if err != nil {
		return nil, fmt.Errorf("wait for the bridges: bucket %s: %w", subjects.BucketBridges, err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the bridges: %w", err)
	}
	defer watch.Stop() //nolint:errcheck // the connection is closed behind it
	present := map[string]arrival{}
	end := func() ([]arrival, error) {
		list := arrivals(present)
		return list, verdict(list, revision, b.name)
	}
	over := time.After(patience(b.js)) // of the first look
	for known := false; ; {
		select {
		case e, ok := <-watch.Updates():
			switch {
			case !ok && ctx.Err() != nil: // the library ends the watch with the context
				return end()
			case !ok:
				return arrivals(present), errors.New("wait for the bridges: NATS is gone; see bridgectl status")
			case e == nil:
				known, over = true, time.After(d)
			case e.Operation() != jetstream.KeyValuePut:
				delete(present, e.Key())
			default:
				var s subjects.BridgeStatus
				if json.Unmarshal(e.Value(), &s) != nil || s.Rules.Bucket != b.name {
					continue
				}
				now := arrivalOf(s, b.created(), revision, keys)
				if was := present[e.Key()]; was.State != now.State && now.State == stateRuns {
					print("%s runs revision %d\n", shown(s.Bridge), s.Rules.Revision)
				}
				present[e.Key()] = now
			}
			if list := arrivals(present); known && len(list) > 0 && !slices.ContainsFunc(list, isBehind) {
				return end()
			}
		case <-over:
			if !known {
				return arrivals(present), fmt.Errorf("wait for the bridges: %w", unanswered(b.js, errNoAnswer))
			}
			return end()
		case <-ctx.Done():
			return end()
		}
	}
}

func isBehind(a arrival) bool { return a.State == stateBehind }

func arrivals(present map[string]arrival) []arrival {
	list := make([]arrival, 0, len(present))
	for _, a := range present {
		list = append(list, a)
	}
	slices.SortFunc(list, func(x, y arrival) int { return strings.Compare(x.Bridge, y.Bridge) })
	return list
}

func whatIsInForce(bad subjects.BridgeInvalid) string {
	if bad.InForce == 0 {
		return "no version of it is in force"
	}
	return fmt.Sprintf("revision %d is in force", bad.InForce)
}

// arrivalOf compares a bridge with the revision of the bucket that was made at
// created. A bridge that does not say which bucket it follows is of an older version.
func arrivalOf(s subjects.BridgeStatus, created time.Time, revision uint64, keys []string) arrival {
	a := arrival{Bridge: s.Bridge, State: stateRuns, Revision: s.Rules.Revision}
	switch made := s.Rules.BucketCreated; {
	case !made.IsZero() && !made.Equal(created):
		a.State, a.Detail = stateBehind, "still follows the bucket made at "+made.Format(time.RFC3339Nano)
	case s.Rules.Revision < revision:
		a.State, a.Detail = stateBehind, fmt.Sprintf("at revision %d", s.Rules.Revision)
	}
	if a.State == stateBehind {
		a.Detail += fmt.Sprintf(", seen %s ago", age(s.Time, time.Now()))
		if s.Rules.Trouble != "" {
			a.Detail += ": " + s.Rules.Trouble
		}
		return a
	}
	for _, bad := range s.Rules.Invalid {
		if slices.Contains(keys, bad.Key) {
			a.State, a.Detail = stateRefused, fmt.Sprintf("refuses %s, %s: %s", bad.Key, whatIsInForce(bad), bad.Error)
			return a
		}
	}
	if key, ok := unnamed(s.Rules, keys); ok {
		a.State, a.Detail = stateUnknown, fmt.Sprintf("may refuse %s: it refuses %s and names the first %d by key",
			key, plural(s.Rules.InvalidCount, "document"), len(s.Rules.Invalid))
	}
	return a
}

// unnamed returns the first key that a bridge may refuse without naming it: of those it
// refuses it names the first.
func unnamed(r subjects.BridgeRules, keys []string) (key string, ok bool) {
	if r.InvalidCount <= len(r.Invalid) {
		return "", false
	}
	last := ""
	if n := len(r.Invalid); n > 0 {
		last = r.Invalid[n-1].Key
	}
	for _, k := range keys {
		if k > last && (!ok || k < key) {
			key, ok = k, true
		}
	}
	return key, ok
}

// verdict is an error that names the bridges that do not run the revision.
func verdict(list []arrival, revision uint64, bucket string) error {
	if len(list) == 0 {
		return fmt.Errorf("no bridge shows in KV bridges that follows bucket %s: nobody runs revision %d", bucket, revision)
	}
	var late, unknown []string
	for _, a := range list {
		line := fmt.Sprintf("%s: %s", shown(a.Bridge), a.Detail)
		switch a.State {
		case stateRuns:
		case stateUnknown:
			unknown = append(unknown, line)
		default:
			late = append(late, line)
		}
	}
	return errors.Join(
		bridgesThat(late, list, "%s not run revision %d", does(len(late)), revision),
		bridgesThat(unknown, list, "cannot be told to run revision %d", revision))
}

// bridgesThat is an error with a line for each of the bridges; nil when there is none.
func bridgesThat(lines []string, all []arrival, format string, args ...any) error {
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %s %s:\n  %s", len(lines), plural(len(all), "bridge"), fmt.Sprintf(format, args...), strings.Join(lines, "\n  "))
}

// readFleet returns what the bridges say of themselves, by name.
func readFleet(ctx context.Context, flags bucketFlags) ([]subjects.BridgeStatus, error) {
	b, err := flags.openNamed(ctx, subjects.BucketBridges)
	if err != nil {
		return nil, err
	}
	defer b.close()
	entries, err := b.all(ctx)
	if err != nil {
		return nil, err
	}
	list := []subjects.BridgeStatus{}
	for _, e := range entries {
		var s subjects.BridgeStatus
		if err := json.Unmarshal(e.data, &s); err != nil {
			return nil, fmt.Errorf("key %s of bucket %s: %w; is it of another version?", shown(e.key), b.name, err)
		}
		list = append(list, s)
	}
	return list, nil
}
