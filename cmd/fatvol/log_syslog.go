package main

import (
	"log/slog"
	"log/syslog"
)

// syslogSink sends lines to the local system logger; where journald runs, that is journald.
type syslogSink struct{ w *syslog.Writer }

// dialSyslog connects to the system logger; it fails where there is none, as in most containers.
func dialSyslog() (lineSink, error) {
	w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_NOTICE, "fatvol")
	if err != nil {
		return nil, err
	}
	return syslogSink{w}, nil
}

func (s syslogSink) Send(level slog.Level, line string) error {
	switch {
	case level >= slog.LevelError:
		return s.w.Err(line)
	case level >= slog.LevelWarn:
		return s.w.Warning(line)
	case level >= slog.LevelInfo:
		return s.w.Info(line)
	}
	return s.w.Debug(line)
}

func (s syslogSink) Close() error { return s.w.Close() }
