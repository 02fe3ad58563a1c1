package replica

import (
	"fmt"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

// newRaftLogger passes Raft's own messages on to log. What Raft says at its
// level info is the detail of elections: debug for us.
func newRaftLogger(log zerolog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	l.RegisterSink(&sink{log: log.With().Str("component", "raft").Logger()})
	return l
}

type sink struct{ log zerolog.Logger }

// Accept implements hclog.SinkAdapter; args are keys and values in turn.
func (s *sink) Accept(_ string, level hclog.Level, msg string, args ...any) {
	if !s.enabled(level) {
		return
	}
	e := s.log.WithLevel(severity(level))
	for i := 0; i+1 < len(args); i += 2 {
		key, value := fmt.Sprint(args[i]), args[i+1]
		if format, ok := value.(hclog.Format); ok && len(format) > 0 {
			value = fmt.Sprintf(fmt.Sprint(format[0]), format[1:]...)
		}
		e = e.Str(key, fmt.Sprint(value))
	}
	e.Msg(msg)
}

func (s *sink) enabled(level hclog.Level) bool {
	at := severity(level)
	return at >= s.log.GetLevel() && at >= zerolog.GlobalLevel()
}

func severity(level hclog.Level) zerolog.Level {
	switch level {
	case hclog.Error:
		return zerolog.ErrorLevel
	case hclog.Warn:
		return zerolog.WarnLevel
	case hclog.Info, hclog.Debug:
		return zerolog.DebugLevel
	case hclog.Trace, hclog.NoLevel, hclog.Off:
	}
	return zerolog.TraceLevel
}
