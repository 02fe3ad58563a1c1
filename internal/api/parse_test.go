package api_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/serin-rollouts/serin/internal/api"
)

func TestParseTrigger(t *testing.T) {
	const file = `{"service":"checkout","image":"a:1","container":{"port":80}}`
	for name, c := range map[string]struct {
		data            string
		id, image, spec string
	}{
		"image":                 {`{"image":"a:1","id":"7"}`, "7", "a:1", ""},
		"json file":             {file, "", "", file},
		"yaml file":             {"service: checkout\nimage: a:1\n", "", "", "service: checkout\nimage: a:1"},
		"spec object":           {`{"spec":` + file + `,"image":"a:2"}`, "", "a:2", file},
		"spec text":             {`{"spec":"service: checkout"}`, "", "", "service: checkout"},
		"cloud event":           {`{"specversion":"1.0","id":"9","source":"/ci","type":"x","data":{"image":"a:1","id":"inner"}}`, "/ci#9", "a:1", ""},
		"cloud event with file": {`{"specversion":"1.0","id":"9","source":"/ci","type":"x","data":` + file + `}`, "/ci#9", "", file},
		"cloud event with text": {`{"specversion":"1.0","id":"9","source":"/ci","type":"x","data":"service: checkout"}`, "/ci#9", "", "service: checkout"},
		"cloud event in base64": {
			`{"specversion":"1.0","id":"9","source":"/ci","type":"x","data_base64":"` +
				base64.StdEncoding.EncodeToString([]byte(`{"image":"a:1"}`)) + `"}`, "/ci#9", "a:1", "",
		},
	} {
		got, problem := api.ParseTrigger([]byte(c.data))
		if problem != nil {
			t.Errorf("%s: %v", name, problem)
			continue
		}
		text, err := got.SpecText()
		if err != nil || got.ID != c.id || got.Image != c.image || string(text) != c.spec {
			t.Errorf("%s: id %q image %q spec %q (%v)", name, got.ID, got.Image, text, err)
		}
	}
}

// Where a CloudEvent was sent in a trace is taken as it is; what is no text is no
// reason to refuse it.
func TestParseTriggerTakesTheTrace(t *testing.T) {
	for extension, want := range map[string]string{"": "", `"traceparent":"00-ab-cd-01",`: "00-ab-cd-01", `"traceparent":7,`: ""} {
		got, problem := api.ParseTrigger([]byte(`{"specversion":"1.0",` + extension + `"id":"9","source":"/ci","type":"x","data":{"image":"a:1"}}`))
		if problem != nil || got.Trace != want || got.Image != "a:1" {
			t.Errorf("%s: %+v, %v; want %q", extension, got, problem, want)
		}
	}
}

func TestParseTriggerNamesTheField(t *testing.T) {
	for data, want := range map[string]struct{ field, id string }{
		"":                                    {"trigger", ""},
		"{":                                   {"trigger", ""},
		`{"id":"7"}`:                          {"image", "7"},
		`{"id":"7","imag":"a:1"}`:             {"trigger", "7"},
		`{"id":"7","image":["a:1"]}`:          {"image", "7"},
		`{"specversion":"1.0","id":"9"}`:      {"id", ""},
		`{"image":"a:1"} {"image":"a:2"}`:     {"trigger", ""},
		strings.Repeat(" ", api.MaxTrigger+1): {"trigger", ""},
		`{"specversion":"1.0","id":"9","source":"/ci"}`:                          {"data", "/ci#9"},
		`{"specversion":"1.0","id":"9","source":"/ci","data":{"replace":true}}`:  {"image", "/ci#9"},
		`{"specversion":"1.0","id":"9","source":"/ci","data":{"specversion":1}}`: {"data", "/ci#9"},
	} {
		got, problem := api.ParseTrigger([]byte(data))
		if problem == nil || problem.Field != want.field || got.ID != want.id {
			t.Errorf("%.80s: %v, id %q; want field %s, id %q", data, problem, got.ID, want.field, want.id)
		}
	}
}

func FuzzParseTrigger(f *testing.F) {
	f.Add([]byte(`{"image":"a:1"}`))
	f.Add([]byte(`{"specversion":"1.0","id":"9","source":"/ci","data":{"image":"a"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		trigger, problem := api.ParseTrigger(data)
		if problem != nil {
			return
		}
		if trigger.Image == "" && len(trigger.Spec) == 0 {
			t.Errorf("neither image nor spec in %q", data)
		}
		if _, err := trigger.SpecText(); err != nil {
			t.Errorf("spec of %q: %v", data, err)
		}
	})
}

func TestAnswers(t *testing.T) {
	data, err := json.Marshal(api.Answer[api.History]{Reply: api.Reply{OK: true}, Data: api.History{Service: "checkout"}})
	if err != nil {
		t.Fatal(err)
	}
	if h, err := api.DecodeAnswer[api.History](data); err != nil || h.Service != "checkout" {
		t.Errorf("answer: %+v, %v", h, err)
	}
	refusal := `{"ok":false,"code":"conflict","message":"checkout-6 runs","rollout":"checkout-6"}`
	if _, err := api.DecodeAnswer[api.History]([]byte(refusal)); err == nil || err.Error() != "checkout-6 runs" {
		t.Errorf("refusal: %v", err)
	}
}
