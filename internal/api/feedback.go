package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// Feedback is what users, or the app on their behalf, say about a revision, on
// feedback.<service>. It is published and forgotten, or sent as a request, which
// is answered with a Reply; what it counts for is up to the rollout's feedback
// gates.
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

// ParseFeedback reads a message, and says what is wrong with it and how to mend
// it, naming the field.
func ParseFeedback(data []byte) (Feedback, *rollout.Problem) {
	var f Feedback
	if problem := decodeFeedback(data, &f); problem != nil {
		return Feedback{}, problem
	}
	return f, f.validate()
}

// Private

// decodeFeedback takes known keys only: what is misspelt would count for nothing.
func decodeFeedback(data []byte, f *Feedback) *rollout.Problem {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(f)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows the object")
		}
	}
	wrongType, isType := errors.AsType[*json.UnmarshalTypeError](err)
	switch {
	case err == nil:
		return nil
	case isType && wrongType.Field != "":
		return problemf(wrongType.Field, "is a %s; want a %s", wrongType.Value, wrongType.Type)
	}
	return problemf("feedback", `%v; send {"revision": "...", "kind": "...", "count": 1}, of which kind and count may be missing`, err)
}

func (f Feedback) validate() *rollout.Problem {
	tooLong := fmt.Sprintf("is longer than %d bytes", maxWord)
	switch {
	case f.Revision == "":
		return problemf("revision", "is missing; name the id, the version or the image that this is about")
	case len(f.Revision) > maxWord:
		return problemf("revision", "%s", tooLong)
	case len(f.Kind) > maxWord:
		return problemf("kind", "%s", tooLong)
	case f.Count < 0 || f.Count > maxFeedback:
		return problemf("count", "is %d; use 1 to %d", f.Count, maxFeedback)
	}
	return nil
}
