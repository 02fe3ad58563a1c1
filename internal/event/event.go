// Package event turns the events of rollouts into CloudEvents and back: JSON
// in structured mode, as observers read it from the bus.
//
//	{"specversion":"1.0","id":"12","source":"/serin/coordinator",
//	 "type":"dev.serin.rollout.step.v1","subject":"checkout/checkout-7",
//	 "datacontenttype":"application/json","time":"2026-11-22T23:56:42.815Z",
//	 "data":{"seq":12,...,"text":"step 2 of 4: 25% on 3 of 3 hosts"},
//	 "sequence":"0000000000000012"}
//
// The id is the event's number: it rises by one from event to event, so an
// observer sees at once that nothing is missing and nothing came twice. data
// is rollout.Event; its text is a sentence for people.
package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	ce "github.com/cloudevents/sdk-go/v2/event"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// ContentType is that of an encoded event.
const ContentType = ce.ApplicationCloudEventsJSON

const (
	typePrefix   = "dev.serin.rollout."
	typeSuffix   = ".v1"
	sourcePrefix = "/serin/"
	someone      = "coordinator" // where no cluster is named
	sequence     = "sequence"    // the extension of that name
	digits       = 16            // so that sequences compare as strings
)

// ErrForeign means that bytes are not an event of serin's.
var ErrForeign = errors.New("not an event of serin")

// Type returns the CloudEvents type of a kind: dev.serin.rollout.step.v1.
func Type(kind rollout.Kind) string { return typePrefix + string(kind) + typeSuffix }

// Source returns the CloudEvents source of a coordinator's cluster; the name
// may be empty.
func Source(cluster string) string {
	if cluster == "" {
		cluster = someone
	}
	return sourcePrefix + cluster
}

// Of reports whether an event tells of that rollout. A trigger that a rollout
// was in the way of names it, too, but is a matter of the service's.
func Of(e rollout.Event, id string) bool { return Concerns(e, id) && e.Phase != "" }

// Concerns reports whether an event is Of that rollout, or tells of a trigger
// that it was in the way of.
func Concerns(e rollout.Event, id string) bool { return e.Rollout == id }

// Encode renders an event. The same event and source give the same bytes on
// every replica, so that whoever leads publishes the same.
func Encode(source string, e rollout.Event) ([]byte, error) {
	c := ce.New(ce.CloudEventsVersionV1)
	c.SetID(strconv.FormatUint(e.Seq, 10))
	c.SetSource(source)
	c.SetType(Type(e.Kind))
	c.SetSubject(subject(e))
	c.SetTime(time.UnixMilli(e.Wall).UTC())
	c.SetExtension(sequence, fmt.Sprintf("%0*d", digits, e.Seq))
	data, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	if err := c.SetData(ce.ApplicationJSON, json.RawMessage(data)); err != nil {
		return nil, fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	out, err := c.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encode event %d: %w", e.Seq, err)
	}
	return out, nil
}

// Decode reads what Encode made. It returns ErrForeign for other CloudEvents
// and for what is none. Fields that this release does not know are left out.
func Decode(data []byte) (rollout.Event, error) {
	var c ce.Event
	if err := json.Unmarshal(data, &c); err != nil {
		return rollout.Event{}, fmt.Errorf("%w: %w", ErrForeign, err)
	}
	if !strings.HasPrefix(c.Type(), typePrefix) || !strings.HasSuffix(c.Type(), typeSuffix) {
		return rollout.Event{}, fmt.Errorf("%w: type %q", ErrForeign, c.Type())
	}
	var e rollout.Event
	if err := json.Unmarshal(c.Data(), &e); err != nil {
		return rollout.Event{}, fmt.Errorf("decode event %s: %w", c.ID(), err)
	}
	if want := strconv.FormatUint(e.Seq, 10); c.ID() != want {
		return rollout.Event{}, fmt.Errorf("%w: id %q around event %s", ErrForeign, c.ID(), want)
	}
	return e, nil
}

// Private

// subject names what the event is about: the rollout, or the service where a
// trigger was refused before there was one.
func subject(e rollout.Event) string {
	if e.Rollout == "" {
		return e.Service
	}
	return e.Service + "/" + e.Rollout
}
