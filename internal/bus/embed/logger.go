package embed

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rs/zerolog"
)

// logger passes the server's words on. What is news to the server (a client
// came, a stream was made) is detail to a coordinator: one level lower.
type logger struct {
	log zerolog.Logger
	// fatal holds the first reason for which the server cannot run. The server
	// expects its logger to end the process; this one tells Start.
	fatal chan error
	// failed holds the first reason for which it gave up what it stores.
	failed chan error
}

func newLogger(log zerolog.Logger) *logger {
	return &logger{log: log.With().Str("component", "nats-server").Logger(), fatal: make(chan error, 1), failed: make(chan error, 1)}
}

// Noticef implements server.Logger.
func (l *logger) Noticef(format string, v ...any) { l.log.Debug().Msgf(format, v...) }

// Warnf implements server.Logger.
func (l *logger) Warnf(format string, v ...any) { l.log.Warn().Msgf(format, v...) }

// Errorf implements server.Logger. That the server has given up a store, it tells
// by its log alone, at least of a stream with one copy.
func (l *logger) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error().Msg(text)
	if strings.Contains(text, "Critical write error") || strings.Contains(text, "will be DISABLED") {
		tell(l.failed, text)
	}
}

// Debugf implements server.Logger.
func (l *logger) Debugf(format string, v ...any) { l.log.Trace().Msgf(format, v...) }

// Tracef implements server.Logger.
func (l *logger) Tracef(format string, v ...any) { l.log.Trace().Msgf(format, v...) }

// Fatalf implements server.Logger.
func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error().Msg(text)
	tell(l.fatal, text)
}

// Private

func tell(reasons chan<- error, text string) {
	select {
	case reasons <- errors.New(text):
	default: // the first reason is the cause
	}
}
