package notify

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-rollouts/serin/internal/bus"
	"github.com/serin-rollouts/serin/internal/rollout"
)

// stored are events as the bus keeps them.
type stored []rollout.Event

// Events implements source: those that are stored, and with Follow the wait for
// more, which never come.
func (s stored) Events(ctx context.Context, filter bus.Filter, f func(rollout.Event, []byte) error) error {
	for _, e := range s {
		if e.Seq < filter.FromSeq || time.UnixMilli(e.Wall).Before(filter.Since) {
			continue
		}
		if err := f(e, nil); err != nil {
			return err
		}
	}
	if filter.Follow {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return nil
}

// LastEvent implements source.
func (s stored) LastEvent(context.Context) (uint64, error) {
	if len(s) == 0 {
		return 0, nil
	}
	return s[len(s)-1].Seq, nil
}

func events(to int) (all stored) {
	for i := 1; i <= to; i++ {
		all = append(all, rollout.Event{
			Seq: uint64(i), Wall: int64(i), Kind: rollout.KindRolledBack, Service: "shop", Rollout: fmt.Sprint("shop-", i), Phase: rollout.RolledBack, Text: "rolled back",
		})
	}
	return all
}

// mailbox is a target that takes messages, or not.
type mailbox struct {
	mu     sync.Mutex
	taken  []string
	tried  int
	refuse func(try int) error
}

func (b *mailbox) target(key string) *Target {
	return &Target{name: key, key: key, send: func(m Message) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.tried++
		if b.refuse != nil {
			if err := b.refuse(b.tried); err != nil {
				return err
			}
		}
		b.taken = append(b.taken, m.Body)
		return nil
	}}
}

func (b *mailbox) want(t *testing.T, want ...string) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.taken, want) {
		t.Errorf("got %q, want %q", b.taken, want)
	}
}

func config(t *testing.T, s source, p *Positions, targets ...*Target) Config {
	t.Helper()
	template, err := NewTemplate("", "{{.Rollout}}")
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Source: s, Targets: targets, Positions: p, Template: template, Once: true, GiveUp: time.Hour, Since: time.UnixMilli(1),
		Wanted: func(e rollout.Event) bool { return e.Kind == rollout.KindRolledBack },
		Sent:   func(*Target, Message) {}, Failed: func(*Target, Message, error, bool) {}, Note: func(string) {},
	}
}

func positions(t *testing.T, path string) *Positions {
	t.Helper()
	p, err := OpenPositions(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A run that is repeated goes on where the one before has ended; a new target
// begins anew.
func TestGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "positions")
	var first, second mailbox
	if err := Run(t.Context(), config(t, events(3), positions(t, path), first.target("a"))); err != nil {
		t.Fatal(err)
	}
	first.want(t, "shop-1", "shop-2", "shop-3")
	if err := Run(t.Context(), config(t, events(5), positions(t, path), first.target("a"), second.target("b"))); err != nil {
		t.Fatal(err)
	}
	first.want(t, "shop-1", "shop-2", "shop-3", "shop-4", "shop-5")
	second.want(t, "shop-1", "shop-2", "shop-3", "shop-4", "shop-5")
	// The bus was set up anew, and counts from 1 again.
	if err := Run(t.Context(), config(t, events(2), positions(t, path), second.target("b"))); err != nil {
		t.Fatal(err)
	}
	second.want(t, "shop-1", "shop-2", "shop-3", "shop-4", "shop-5", "shop-1", "shop-2")
}

// Without --since and a position it begins with what comes, and what comes while
// it is away is not lost.
func TestBeginsWithWhatComes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "positions")
	var box mailbox
	for _, last := range []int{3, 5} {
		cfg := config(t, events(last), positions(t, path), box.target("a"))
		cfg.Since = time.Time{}
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	box.want(t, "shop-4", "shop-5")
}

// A message that is not taken is tried again, holds up what follows for the same
// target, and nothing for the others.
func TestTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var flaky, dead, good mailbox
		flaky.refuse = func(try int) error {
			if try <= 5 {
				return errors.New("busy")
			}
			return nil
		}
		dead.refuse = func(int) error { return errors.New("gone") }
		path := filepath.Join(t.TempDir(), "positions")
		cfg := config(t, events(2), positions(t, path), flaky.target("flaky"), dead.target("dead"), good.target("good"))
		var mu sync.Mutex
		var givenUp []string
		cfg.Failed = func(to *Target, m Message, _ error, last bool) {
			if last {
				mu.Lock()
				defer mu.Unlock()
				givenUp = append(givenUp, to.String()+" "+m.Body)
			}
		}
		began := time.Now()
		if err := Run(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		flaky.want(t, "shop-1", "shop-2")
		good.want(t, "shop-1", "shop-2")
		dead.want(t)
		if want := []string{"dead shop-1", "dead shop-2"}; !slices.Equal(givenUp, want) {
			t.Errorf("given up %q, want %q", givenUp, want)
		}
		if took := time.Since(began); took < time.Hour || took > 3*time.Hour {
			t.Errorf("two messages were tried for %s", took)
		}
		if dead.tried < 100 || dead.tried > 400 {
			t.Errorf("tried %d times in two hours", dead.tried)
		}
	})
}

// What is being sent when it ends is sent again: at least once.
func TestAtLeastOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "positions")
	ctx, stop := context.WithCancel(t.Context())
	var box mailbox
	box.refuse = func(try int) error {
		if try == 2 {
			stop()
			return errors.New("no answer")
		}
		return nil
	}
	if err := Run(ctx, config(t, events(3), positions(t, path), box.target("a"))); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	box.want(t, "shop-1")
	if err := Run(t.Context(), config(t, events(3), positions(t, path), box.target("a"))); err != nil {
		t.Fatal(err)
	}
	box.want(t, "shop-1", "shop-2", "shop-3")
}

func TestTargetsKeepSecrets(t *testing.T) {
	for _, url := range []string{
		"generic://127.0.0.1:1/hook/verysecret?disabletls=yes", "generic://127.0.0.1:1/hook?disabletls=yes&token=verysecret",
		"smtp://someone:verysecret@127.0.0.1:1/?from=a@example.com&to=b@example.com",
	} {
		target, err := Open(url)
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		err = target.Send(t.Context(), Message{Title: "title", Body: "body"})
		if err == nil || strings.Contains(err.Error(), "verysecret") || strings.Contains(target.String(), "verysecret") {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, url := range []string{
		"", "no url", "pigeon://verysecret@roof", "slack://verysecret", "http://%zz/verysecret", "slack://hook:verysecret@webhook",
		"slack://hook:verysecret-verysecret-verysecret@webhook", "teams://verysecret@verysecret/verysecret/verysecret?host=x.webhook.office.com",
		"discord://verysecret", "telegram://verysecret@telegram?chats=@x", "pagerduty://events.pagerduty.com/verysecret", "generic+https://%zz/verysecret",
		"smtp://someone:verysecret@127.0.0.1:1/", "pushover://shoutrrr:verysecret@",
	} {
		if _, err := Open(url); err == nil || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestBadTargetsSayWhy: whoever mistypes a URL learns more than that it is wrong.
func TestBadTargetsSayWhy(t *testing.T) {
	for url, want := range map[string]string{
		"slack://hook:T000-B000-XXXX@webhook":                      "token",
		"teams://group@tenant/alt/owner?host=x.webhook.office.com": "URL",
		"pagerduty://events.pagerduty.com/short":                   "integration key",
	} {
		if _, err := Open(url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestDocumentedTargets: the URLs in docs/notify.md are well formed, once the words
// in capitals are what the services give out.
func TestDocumentedTargets(t *testing.T) {
	text, err := os.ReadFile("../../../docs/notify.md")
	if err != nil {
		t.Fatal(err)
	}
	const uuid, hex32, number = "11111111-4444-4444-8444-cccccccccccc", "0123456789abcdef0123456789abcdef", "123456789"
	given := strings.NewReplacer(
		"T000", "T"+number, "B000", "B"+number, "XXXX", "abcdefghijklmnopqrstuvwx", "xoxb:TOKEN@CHANNEL", "xoxb:"+number+"-"+number+"-abcdefghijklmnopqrstuvwx@C"+number,
		"GROUP", uuid, "TENANT", uuid, "OWNER", uuid, "ALT", hex32, "EXTRA", "V2abc", "ORG", "example", "discord://TOKEN@ID", "discord://abc_DEF@"+number,
		"TOKEN", number+":AAbb-cc", "@CHANNEL", "@serin", "pagerduty.com/KEY", "pagerduty.com/"+hex32, "TOPIC", "ops", "HOST", "127.0.0.1",
	)
	tried := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `.+ \\|$").FindAllString(string(text), -1) {
		for _, m := range regexp.MustCompile("`([a-z+]+)(://[^`]+)`").FindAllStringSubmatch(row, -1) {
			switch scheme := m[1]; scheme {
			case "https", "http": // what a service calls it
			case "matrix": // looks for the server at once
			default:
				tried[scheme] = true
				if _, err := Open(given.Replace(scheme + m[2])); err != nil {
					t.Errorf("%s%s: %v", scheme, m[2], err)
				}
			}
		}
	}
	for _, scheme := range []string{"slack", "teams", "discord", "telegram", "ntfy", "pagerduty", "smtp", "generic+https"} {
		if !tried[scheme] {
			t.Errorf("docs/notify.md has no %s://", scheme)
		}
	}
}
