package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Errors of Ensure. The server's own error is wrapped beside them.
var (
	ErrNoJetStream = errors.New("JetStream is not enabled")
	ErrPermission  = errors.New("no permission")
	ErrNoAnswer    = errors.New("no answer")
	ErrStorage     = errors.New("not enough storage")
	ErrReplicas    = errors.New("not enough servers for the replicas")
	ErrOverlap     = errors.New("another stream holds the subject")
	ErrBucket      = errors.New("no name for a bucket")
)

// Error codes of nats-server (server/errors.json) that nats.go has no name for.
const (
	codeAccountResources  = 10002 // resource limits exceeded for account
	codeNoSuitablePeers   = 10005 // no suitable peers for placement
	codeInsufficient      = 10023 // insufficient resources
	codeStorageExceeded   = 10047 // insufficient storage resources available
	codeOverlap           = 10065 // subjects overlap with an existing stream
	codeReplicasUnmatched = 10074 // replicas > 1 not supported in non-clustered mode
)

// isUnreachable reports whether err would come again for every other object.
func isUnreachable(err error) bool {
	return errors.Is(err, ErrNoJetStream) || errors.Is(err, ErrNoAnswer) || errors.Is(err, ErrPermission) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrConnectionClosed)
}

// isCode reports whether the server refused with this error code.
func isCode(err error, codes ...jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode)
}

// explain adds to err what it was about and what to do. act is what was tried:
// "look at it", "create it".
func (e *ensurer) explain(d definition, act string, err error) error {
	next, sentinel := e.diagnose(d, err)
	if sentinel == nil {
		return fmt.Errorf("%s: cannot %s: %w", d.object, act, err)
	}
	return fmt.Errorf("%s: cannot %s: %w: %s (%w)", d.object, act, sentinel, next, err)
}

// diagnose returns the kind of err and the next step, or nil for one it does
// not know.
func (e *ensurer) diagnose(d definition, err error) (next string, sentinel error) {
	switch {
	case errors.Is(err, nats.ErrNoResponders),
		errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return "start nats-server with -js, and enable JetStream for the account", ErrNoJetStream
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		// A server drops a request that the user may not make, and tells why
		// on the side.
		if refused := e.js.Conn().LastError(); errors.Is(refused, nats.ErrPermissionViolation) {
			return fmt.Sprintf("%v; grant it, or let an administrator create the streams and set BRIDGE_PROVISION=off", refused), ErrPermission
		}
		return "see that the server is up and JetStream has a leader", ErrNoAnswer
	case isCode(err, codeStorageExceeded, codeInsufficient, codeAccountResources):
		return fmt.Sprintf("it reserves %d bytes; raise max_file_store of the server or the account's limit, or choose a smaller size",
			d.config.MaxBytes), ErrStorage
	case isCode(err, codeReplicasUnmatched, codeNoSuitablePeers):
		return fmt.Sprintf("%d replicas need as many JetStream servers in one cluster", d.config.Replicas), ErrReplicas
	}
	return "", nil
}
