package event

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/serin-rollouts/serin/internal/rollout"
)

// SchemaID names the schema of the events.
const SchemaID = "https://github.com/serin-rollouts/serin/docs/event.schema.json"

// Schema is the JSON Schema (draft 2020-12) of the events as observers get them,
// made from the types that they are written from. It lets keys pass that it does
// not know: later releases add some.
func Schema() ([]byte, error) {
	text := map[string]any{"type": "string"}
	fixed := func(value string) map[string]any { return map[string]any{"const": value} }
	s := map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"$id":     SchemaID,
		"title":   "an event of serin: a CloudEvent in structured mode",
		"type":    "object",
		"properties": map[string]any{
			"specversion":     fixed("1.0"),
			"id":              map[string]any{"type": "string", "pattern": "^[0-9]+$", "description": "the event's number, which rises by one"},
			"source":          map[string]any{"type": "string", "pattern": "^" + sourcePrefix},
			"type":            map[string]any{"type": "string", "pattern": `^dev\.serin\.rollout\.[a-z.]+\.v1$`, "description": "of kind"},
			"subject":         map[string]any{"type": "string", "description": "service, or service/rollout"},
			"time":            map[string]any{"type": "string", "format": "date-time"},
			"datacontenttype": fixed("application/json"),
			sequence:          map[string]any{"type": "string", "pattern": fmt.Sprintf("^[0-9]{%d,}$", digits), "description": "the id, as text that sorts"},
			"traceparent":     text,
			"data":            schemaOf(reflect.TypeFor[rollout.Event]()),
		},
		"required": []string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", sequence, "data"},
	}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(out, '\n'), nil
}

// Private

// schemaOf describes what encoding/json makes of a type.
func schemaOf(t reflect.Type) map[string]any {
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return map[string]any{"type": "string"}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice, reflect.Array:
		return map[string]any{"type": "array", "items": schemaOf(t.Elem())}
	case reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": schemaOf(t.Elem())}
	case reflect.String:
		return map[string]any{"type": "string"}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Float64:
		return map[string]any{"type": "number"}
	case reflect.Uint8, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}
	default:
		return map[string]any{} // anything
	}
}

// structSchema requires what is not left out when it is empty.
func structSchema(t reflect.Type) map[string]any {
	properties, required := map[string]any{}, []string{}
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "-" || !f.IsExported() {
			continue
		}
		if name == "" {
			name = f.Name
		}
		properties[name] = schemaOf(f.Type)
		if !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required}
}
