package replica

import (
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/rs/zerolog"
)

// Raft repeats itself at every heartbeat to a peer that is away.
const (
	logBurst  = 20
	logPeriod = 10 * time.Second
)

// newRaftLogger passes Raft's own messages on to log, a bounded number of them.
// What Raft says at its level info is the detail of elections: debug for us.
func newRaftLogger(log zerolog.Logger) hclog.Logger {
	l := hclog.NewInterceptLogger(&hclog.LoggerOptions{Output: io.Discard, Level: hclog.Off})
	bounded := log.With().Str("component", "raft").Logger().Sample(&zerolog.BurstSampler{Burst: logBurst, Period: logPeriod})
	l.RegisterSink(&sink{log: bounded})
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
