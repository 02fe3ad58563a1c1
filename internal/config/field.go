package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// field is one key and the place of its value in the caller's struct.
type field struct {
	key   string // "nats.url", as the file nests it
	doc   string
	value reflect.Value
}

// env is the name of the field's environment variable: SERIN_NATS_URL.
func (f field) env() string {
	return envPrefix + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(f.key))
}

// flag is the name of the field's flag, without the dashes before it: nats-url.
func (f field) flag() string {
	return strings.NewReplacer(".", "-", "_", "-").Replace(f.key)
}

// fieldsOf lists the fields of a struct and of the structs in it, in their order.
func fieldsOf(v reflect.Value, prefix string) ([]field, error) {
	var all []field
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		f := field{key: prefix + name, doc: v.Type().Field(i).Tag.Get("doc"), value: v.Field(i)}
		switch {
		case !f.value.CanSet():
			return nil, fmt.Errorf("key %s: the field is not exported", f.key)
		case f.value.Kind() == reflect.Struct:
			nested, err := fieldsOf(f.value, f.key+".")
			if err != nil {
				return nil, err
			}
			all = append(all, nested...)
		case kindOf(f.value) == "":
			return nil, fmt.Errorf("key %s: a %s cannot be configured", f.key, f.value.Type())
		default:
			all = append(all, f)
		}
	}
	return all, nil
}

// kindOf names the type of a value for people; "" is one that this package does not know.
func kindOf(v reflect.Value) string {
	switch v.Interface().(type) {
	case string:
		return "string"
	case bool:
		return "bool"
	case int:
		return "int"
	case time.Duration:
		return "duration"
	case []string:
		return "list"
	case map[string]string:
		return "key=value"
	default:
		return ""
	}
}

// parse sets v from the text of a flag, a variable, or a scalar of the file.
func parse(v reflect.Value, text string) error {
	var err error
	switch to := v.Addr().Interface().(type) {
	case *string:
		*to = text
	case *bool:
		if *to, err = strconv.ParseBool(text); err != nil {
			return fmt.Errorf("want true or false, got %q", text)
		}
	case *int:
		if *to, err = strconv.Atoi(text); err != nil {
			return fmt.Errorf("want a whole number, got %q", text)
		}
	case *time.Duration:
		if *to, err = time.ParseDuration(text); err != nil {
			return fmt.Errorf("want a duration with its unit, such as 500ms, 30s or 5m, got %q", text)
		}
	case *[]string:
		*to = splitList(text)
	case *map[string]string:
		*to, err = splitMap(text)
	}
	return err
}

func splitList(text string) []string {
	list := []string{}
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

func splitMap(text string) (map[string]string, error) {
	m := map[string]string{}
	for _, item := range splitList(text) {
		key, value, ok := strings.Cut(item, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("want key=value,key=value, got %q", item)
		}
		m[key] = value
	}
	return m, nil
}

// flagValue takes what the command line says until the file and the environment have been read.
// It is a pflag.Value.
type flagValue struct {
	value   reflect.Value
	changed bool
}

func newFlagValue(f field) *flagValue {
	v := reflect.New(f.value.Type()).Elem()
	v.Set(f.value)
	return &flagValue{value: v}
}

// Set parses the flag's argument. A list or map grows when the flag is given again.
func (f *flagValue) Set(text string) error {
	fresh := reflect.New(f.value.Type()).Elem()
	if err := parse(fresh, text); err != nil {
		return err
	}
	if f.changed {
		switch before := f.value.Interface().(type) {
		case []string:
			fresh.Set(reflect.ValueOf(slices.Concat(before, fresh.Interface().([]string))))
		case map[string]string:
			maps.Copy(before, fresh.Interface().(map[string]string))
			fresh = f.value
		}
	}
	f.value, f.changed = fresh, true
	return nil
}

// String shows the value in the form that Set reads; for the default in the help.
func (f *flagValue) String() string {
	if f == nil || !f.value.IsValid() {
		return ""
	}
	switch v := f.value.Interface().(type) {
	case []string:
		return strings.Join(v, ",")
	case map[string]string:
		items := make([]string, 0, len(v))
		for _, key := range slices.Sorted(maps.Keys(v)) {
			items = append(items, key+"="+v[key])
		}
		return strings.Join(items, ",")
	default:
		return fmt.Sprint(v)
	}
}

// Type is the word for the flag's argument in the help.
func (f *flagValue) Type() string { return kindOf(f.value) }

func (f *flagValue) isBool() bool { return f.Type() == "bool" }
