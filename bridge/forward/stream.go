package forward

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"bintubridge/subjects"
)

// streamState is what the loop knows of the stream.
type streamState struct {
	batches    bool   // it may be published to in fast batches
	connection uint64 // number of the one it was looked at on
	blindOn    uint64 // number of the one on which it may not be looked at, 0 for none
	maxSize    int32  // of a message, 0 or less for none

	created time.Time         // the last time it was looked at
	looked  bool              // for what may be in flight, since the start
	ownID   string            // spool id of the last message of ours that is in it
	ownSeq  uint64            // stream sequence of that
	stored  map[string]uint64 // ids found behind the cursor, with their stream sequences
	gone    uint64            // the cursor's stream sequence that is gone, all that could be done is done
}

// maxMessage is the largest message that surely is taken, in bytes.
func (s *streamState) maxMessage(conn *nats.Conn) int64 {
	size := conn.MaxPayload()
	if size <= 0 { // not connected yet
		size = math.MaxInt64
	}
	if s.maxSize > 0 {
		size = min(size, int64(s.maxSize))
	}
	return size
}

// The rights the look at the stream needs; without them it is left out.
const (
	infoSubject = "$JS.API.STREAM.INFO." + subjects.StreamEvents
	getSubject  = "$JS.API.STREAM.MSG.GET." + subjects.StreamEvents
)

const (
	lookTimeout    = 2 * time.Second // for each answer
	fetchBlock     = 256
	fetchWindow    = 64 // requests in flight: an answer is 1.4 MB at worst
	codeNoMessage  = 10037
	noSuchSequence = 0
)

// errDenied says that the server does not let the bridge look at the stream.
var errDenied = errors.New("not permitted")

// info asks for the stream's configuration and state.
func (f *Forwarder) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	stream, err := f.js.Stream(ctx, subjects.StreamEvents)
	if err != nil {
		return nil, fmt.Errorf("look at stream %s: %w", subjects.StreamEvents, f.denied(err, infoSubject))
	}
	return stream.CachedInfo(), nil
}

// denied turns a time-out into errDenied when the server has refused the request.
func (f *Forwarder) denied(err error, subject string) error {
	if last := f.conn.LastError(); errors.Is(last, nats.ErrPermissionViolation) && strings.Contains(last.Error(), subject) {
		return fmt.Errorf("%w: %w", errDenied, last)
	}
	return err
}

// found is a message that the stream holds.
type found struct {
	seq uint64 // 0 where there is none
	id  string // Nats-Msg-Id
	at  time.Time
}

// fetch returns the messages from sequence first to last, at most fetchBlock, a place for
// each. It asks the leader of the stream: a replica that lags would look like a loss. Large
// messages over a slow network may take their time, if only each comes in lookTimeout.
func (f *Forwarder) fetch(ctx context.Context, first, last uint64) ([]found, error) {
	inbox := f.conn.NewInbox()
	sub, err := f.conn.SubscribeSync(inbox + ".*")
	if err != nil {
		return nil, fmt.Errorf("look at messages: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // fails with the connection, and then it is gone
	if err := sub.SetPendingLimits(fetchBlock, -1); err != nil {
		return nil, fmt.Errorf("look at messages: %w", err)
	}
	out := make([]found, last-first+1)
	asked := uint64(0)
	for answered := range uint64(len(out)) {
		for ; asked < min(uint64(len(out)), answered+fetchWindow); asked++ {
			err := f.conn.PublishRequest(getSubject, inbox+"."+strconv.FormatUint(asked, 10), fmt.Appendf(nil, `{"seq":%d}`, first+asked))
			if err != nil {
				return nil, fmt.Errorf("look at messages: %w", err)
			}
		}
		msg, err := nextOf(ctx, sub)
		if err != nil {
			return nil, fmt.Errorf("look at messages from %d: %w", first, f.denied(err, getSubject))
		}
		i, err := strconv.ParseUint(msg.Subject[len(inbox)+1:], 10, 64)
		if err != nil || i >= uint64(len(out)) {
			return nil, fmt.Errorf("look at messages: an answer to %s", msg.Subject)
		}
		if out[i], err = decodeFound(msg); err != nil {
			return nil, fmt.Errorf("look at message %d: %w", first+i, err)
		}
	}
	return out, nil
}

// nextOf waits lookTimeout for an answer.
func nextOf(ctx context.Context, sub *nats.Subscription) (*nats.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return sub.NextMsgWithContext(ctx)
}

// decodeFound reads the answer to one request.
func decodeFound(msg *nats.Msg) (found, error) {
	if len(msg.Data) == 0 {
		return found{}, nats.ErrNoResponders
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Seq    uint64    `json:"seq"`
			Header []byte    `json:"hdrs"`
			Time   time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(msg.Data, &answer); err != nil {
		return found{}, err
	}
	if answer.Error != nil {
		if answer.Error.ErrorCode == codeNoMessage {
			return found{seq: noSuchSequence}, nil
		}
		return found{}, answer.Error
	}
	out := found{seq: answer.Message.Seq, at: answer.Message.Time}
	if len(answer.Message.Header) > 0 {
		header, err := nats.DecodeHeadersMsg(answer.Message.Header)
		if err != nil {
			return found{}, err
		}
		out.id = header.Get(subjects.HeaderMsgID)
	}
	return out, nil
}
