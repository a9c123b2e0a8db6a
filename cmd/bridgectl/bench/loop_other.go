//go:build !linux

package bench

import (
	"context"
	"errors"
	"fmt"
)

func checkFiles(int) error { return nil }

// run needs epoll(7), timerfd(2) and proc(5).
func (l load) run(context.Context) (answers, error) {
	return answers{}, fmt.Errorf("bench runs on Linux only: %w", errors.ErrUnsupported)
}
