package provision

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Drift is a setting of an existing stream or bucket that is not as the bridge
// and its consumers need it. Nothing here changes it: that is the operator's,
// with `nats stream edit` or `nats kv edit`.
type Drift struct {
	Object string // "stream EVENTS", "KV bucket rules"
	Field  string // as the server's JSON calls it
	Have   string
	Want   string
}

// String returns the drift as one sentence.
func (d Drift) String() string {
	return fmt.Sprintf("%s: %s is %s, want %s", d.Object, d.Field, d.Have, d.Want)
}

// drift compares what matters to correctness. A limit that the operator set to
// another value is a choice; a limit that is missing is not.
func (d definition) drift(have jetstream.StreamConfig) []Drift {
	var list []Drift
	want := d.config
	differs := func(wrong bool, field string, have, want any) {
		if wrong {
			list = append(list, Drift{d.object, field, fmt.Sprint(have), fmt.Sprint(want)})
		}
	}
	differs(!containsAll(have.Subjects, want.Subjects), "subjects", quoteList(have.Subjects), quoteList(want.Subjects))
	differs(have.Storage != want.Storage, "storage", have.Storage, want.Storage)
	differs(have.Retention != want.Retention, "retention", have.Retention, want.Retention)
	differs(have.Discard != want.Discard, "discard", have.Discard, want.Discard)
	differs(have.MaxBytes <= 0, "max_bytes", "unlimited", want.MaxBytes)
	differs(have.Replicas < want.Replicas, "num_replicas", have.Replicas, want.Replicas)
	differs(have.NoAck, "no_ack", true, false)
	differs(have.Sealed, "sealed", true, false)
	differs(have.SubjectTransform != nil, "subject_transform", "set", "none")
	differs(have.PersistMode != want.PersistMode, "persist_mode", have.PersistMode, want.PersistMode)
	if d.bucket {
		differs((have.MaxAge == 0) != (want.MaxAge == 0), "max_age", orNever(have.MaxAge), orNever(want.MaxAge))
		differs(0 < have.MaxMsgsPerSubject && have.MaxMsgsPerSubject < want.MaxMsgsPerSubject,
			"max_msgs_per_subject", have.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
		differs(!have.AllowRollup, "allow_rollup_hdrs", false, true)
		differs(!have.AllowMsgTTL, "allow_msg_ttl", false, true)
		differs(have.SubjectDeleteMarkerTTL <= 0, "subject_delete_marker_ttl", "none", want.SubjectDeleteMarkerTTL)
		return list
	}
	differs(have.MaxAge == 0, "max_age", orNever(have.MaxAge), orNever(want.MaxAge))
	// Most events share a handful of subjects: the older ones would vanish.
	differs(want.MaxMsgsPerSubject < 0 && have.MaxMsgsPerSubject > 0, "max_msgs_per_subject", have.MaxMsgsPerSubject, "unlimited")
	differs(have.DiscardNewPerSubject != want.DiscardNewPerSubject, "discard_new_per_subject", have.DiscardNewPerSubject, want.DiscardNewPerSubject)
	differs(have.Duplicates < want.Duplicates, "duplicate_window", have.Duplicates, want.Duplicates)
	return list
}

func containsAll(have, want []string) bool {
	for _, s := range want {
		if !slices.Contains(have, s) {
			return false
		}
	}
	return true
}

// quoteList quotes, since somebody else may have named the subjects.
func quoteList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = fmt.Sprintf("%q", s)
	}
	return "[" + strings.Join(quoted, " ") + "]"
}

func orNever(age time.Duration) string {
	if age == 0 {
		return "never"
	}
	return age.String()
}
