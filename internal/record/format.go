package record

import (
	"bytes"
	"encoding/json"
)

// Format is a form of recorded data.
type Format string

// The formats: a record in JSON lines, a request log in CSV, and events as `serin events -o json`
// prints them.
const (
	FormatRecord Format = "record"
	FormatCSV    Format = "csv"
	FormatEvents Format = "events"
)

// Detect tells the format by the first bytes of the data.
func Detect(head []byte) Format {
	text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\ufeff")))
	if len(text) == 0 || text[0] != '{' {
		return FormatCSV
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if _, err := decoder.Token(); err != nil {
		return FormatRecord
	}
	for decoder.More() {
		key, err := decoder.Token()
		if err != nil {
			return FormatRecord
		}
		switch key {
		case "specversion":
			return FormatEvents
		case "at", "host", "head", "step":
			return FormatRecord
		}
		var skipped json.RawMessage
		if decoder.Decode(&skipped) != nil {
			return FormatRecord
		}
	}
	return FormatRecord
}
