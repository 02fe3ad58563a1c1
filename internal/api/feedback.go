package api

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Feedback is what users, or the app on their behalf, say about a revision, on
// feedback.<service>. It is published and forgotten; what it counts for is up to
// the rollout's feedback gates.
type Feedback struct {
	// Revision is its id, its version (the image's tag), or its image. A name that
	// the old and the new revision of a rollout share counts for neither.
	Revision string `json:"revision"`
	Kind     string `json:"kind,omitempty"`  // for example "complaint"; gates may name the bad ones
	Count    int64  `json:"count,omitempty"` // how often; 0 means once
}

// maxFeedback bounds what one message counts for, maxWord its words.
const (
	maxFeedback = 10_000
	maxWord     = 512
)

// ParseFeedback reads a message, and says what is wrong with it, naming the field.
func ParseFeedback(data []byte) (Feedback, error) {
	var f Feedback
	if err := json.Unmarshal(data, &f); err != nil {
		return Feedback{}, fmt.Errorf("no feedback: %w", err)
	}
	return f, f.validate()
}

// Private

func (f Feedback) validate() error {
	switch {
	case f.Revision == "":
		return errors.New("revision is missing: name the id, the version or the image that this is about")
	case len(f.Revision) > maxWord:
		return fmt.Errorf("revision is longer than %d bytes", maxWord)
	case len(f.Kind) > maxWord:
		return fmt.Errorf("kind is longer than %d bytes", maxWord)
	case f.Count < 0 || f.Count > maxFeedback:
		return fmt.Errorf("count is %d; use 1 to %d", f.Count, maxFeedback)
	}
	return nil
}
