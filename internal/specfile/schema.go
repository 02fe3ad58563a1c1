package specfile

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
)

// SchemaID names the schema of the rollout file.
const SchemaID = "https://github.com/serin-rollouts/serin/docs/rollout.schema.json"

const (
	percentPattern  = `^[0-9]+(\.[0-9]{1,4})?%$`
	durationPattern = `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`
)

// Key is one key of the rollout file, as its reference lists it.
type Key struct {
	Name string // steps[].hold
	Type string // in words: duration
	Doc  string
	Enum []string // the words that it takes; nil: any
}

// Schema is the JSON Schema (draft 2020-12) of the rollout file, made from the
// types that it is read into. What it takes may still be refused for what it
// means; what it does not take is refused by Parse, too.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[file]())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = SchemaID
	s["title"] = "a rollout file of serin"
	s["required"] = []string{"service", "image", "container"}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(text, '\n'), nil
}

// Keys lists all keys, in the order of the file.
func Keys() []Key { return keysOf(reflect.TypeFor[file](), "") }

// Private

// shape is a value with a form of its own: its name in words, and its schema.
type shape struct {
	words  string
	schema map[string]any
}

// shapes are the types that read themselves.
func shapes() map[reflect.Type]shape {
	text := func(words, pattern, example string) shape {
		return shape{words, map[string]any{"type": "string", "pattern": pattern, "examples": []string{example}}}
	}
	either := func(words string, of ...map[string]any) shape { return shape{words, map[string]any{"anyOf": of}} }
	number := map[string]any{"type": "integer", "minimum": 0}
	share := text("share", percentPattern, "5%")
	return map[reflect.Type]shape{
		reflect.TypeFor[percent]():   share,
		reflect.TypeFor[weight]():    share,
		reflect.TypeFor[duration]():  text("duration", durationPattern, "5m"),
		reflect.TypeFor[quantile]():  text("quantile", `^p[0-9]+(\.[0-9]{1,2})?$`, "p99"),
		reflect.TypeFor[hostCount](): either("count or share", number, share.schema),
		reflect.TypeFor[size]():      either("size", number, map[string]any{"type": "string", "pattern": `^[0-9]+[kKmMgG]?$`}),
		reflect.TypeFor[milli](): either("number of CPUs", map[string]any{"type": "number", "minimum": 0},
			map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)?$`}),
	}
}

// words are what may stand in the place of a mapping.
func words(t reflect.Type) []any {
	switch t {
	case reflect.TypeFor[errorsGate]():
		return []any{"off", false}
	case reflect.TypeFor[saturationGate]():
		return []any{"on", "off", true, false}
	case reflect.TypeFor[pace]():
		return []any{"steps", "auto"}
	}
	return nil
}

func schemaOf(t reflect.Type) map[string]any {
	if s, ok := shapes()[t]; ok {
		return s.schema
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice:
		list := map[string]any{"type": "array", "items": schemaOf(t.Elem())}
		if isList(t) {
			return map[string]any{"anyOf": []any{list, schemaOf(t.Elem()), map[string]any{"enum": []any{"off", false}}}}
		}
		return list
	case reflect.Map:
		// Numbers and truth values are texts there, as they are written.
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": []string{"string", "number", "boolean"}}}
	case reflect.Bool:
		return map[string]any{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return map[string]any{"type": "integer"}
	default:
		return map[string]any{"type": "string"}
	}
}

// isList tells a list whose one element may stand without it.
func isList(t reflect.Type) bool { return strings.HasPrefix(t.Name(), "oneOrMore[") }

func structSchema(t reflect.Type) map[string]any {
	properties := map[string]any{}
	for _, f := range fieldsOf(t) {
		p := schemaOf(f.Type)
		if words := f.Tag.Get("enum"); words != "" {
			p["enum"] = strings.Split(words, ",")
		}
		described := map[string]any{"description": f.Tag.Get("doc")}
		maps.Copy(described, p)
		properties[nameOf(f)] = described
	}
	s := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if t == reflect.TypeFor[container]() {
		s["required"] = []string{"port"}
	}
	switch also := words(t); {
	case t == reflect.TypeFor[increase]():
		return map[string]any{"anyOf": []any{s, shapes()[reflect.TypeFor[percent]()].schema}}
	case also != nil:
		return map[string]any{"anyOf": []any{s, map[string]any{"enum": also}}}
	}
	return s
}

// fieldsOf are a mapping's, with those that are written in its place.
func fieldsOf(t reflect.Type) (all []reflect.StructField) {
	for f := range t.Fields() {
		switch tag := f.Tag.Get("yaml"); tag {
		case "":
		case ",inline":
			all = append(all, fieldsOf(f.Type)...)
		default:
			all = append(all, f)
		}
	}
	return all
}

func nameOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	return name
}

func keysOf(t reflect.Type, prefix string) (keys []Key) {
	for _, f := range fieldsOf(t) {
		key := Key{Name: prefix + nameOf(f), Doc: f.Tag.Get("doc")}
		if enum := f.Tag.Get("enum"); enum != "" {
			key.Enum = strings.Split(enum, ",")
		}
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		dots := "."
		key.Type = typeWords(inner)
		if inner.Kind() == reflect.Slice {
			inner, dots = inner.Elem(), "[]."
		}
		keys = append(keys, key)
		if _, own := shapes()[inner]; !own && inner.Kind() == reflect.Struct {
			keys = append(keys, keysOf(inner, key.Name+dots)...)
		}
	}
	return keys
}

// typeWords names a type for people.
func typeWords(t reflect.Type) string {
	if s, ok := shapes()[t]; ok {
		return s.words
	}
	switch t.Kind() {
	case reflect.Struct:
		if words(t) != nil {
			return "mapping or word"
		}
		return "mapping"
	case reflect.Slice:
		return "list"
	case reflect.Map:
		return "names and values"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "whole number"
	default:
		return "text"
	}
}
