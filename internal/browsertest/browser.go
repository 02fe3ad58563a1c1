// Package browsertest drives a headless Chromium in tests. Everything waits for
// what is to be seen, with a bound that only a machine at a standstill reaches.
package browsertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const (
	patience = 3 * time.Minute
	look     = 50 * time.Millisecond
	// shots is the environment variable with the directory for screenshots.
	shots = "SERIN_SCREENSHOTS"
)

// Browser is one tab of a Chromium of its own. Its methods fail the test
// themselves; they are for the goroutine of the test.
type Browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the tab's own
	net *apart          // nil: the machine's

	mu  sync.Mutex
	bad []string // what pages have complained of
}

// Open starts a browser that ends with the test. Without Chromium the test is
// skipped, but fails where CI is set.
func Open(t *testing.T) *Browser {
	t.Helper()
	path, err := find()
	switch {
	case err != nil && os.Getenv("CI") != "":
		t.Fatalf("%v; make setup installs it", err)
	case err != nil:
		t.Skipf("NOT TESTED: %v; make setup installs it", err)
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("no-proxy-server", true),
		chromedp.WSURLReadTimeout(patience))
	network := newApart(t)
	if network != nil {
		options = append(options, chromedp.ModifyCmdFunc(network.enter))
	}
	all, end := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(all)
	t.Cleanup(func() {
		stop()
		end()
	})
	b := &Browser{t: t, ctx: ctx, net: network}
	if err := chromedp.Do(ctx); err != nil { // a deadline here would become the browser's
		t.Fatalf("start %s: %v", path, err)
	}
	go b.hear(chromedp.Console(ctx)) // from before the first page
	return b
}

// Reach lets the browser come to an address, http://host:port, of a server of the
// test.
func (b *Browser) Reach(origin string) {
	b.t.Helper()
	if b.net == nil {
		return
	}
	u, err := url.Parse(origin)
	if err == nil {
		err = b.net.reach(u.Host)
	}
	if err != nil {
		b.t.Fatalf("reach %s: %v", origin, err)
	}
}

// Go opens an address and waits until the page has loaded.
func (b *Browser) Go(address string) {
	b.t.Helper()
	b.Reach(address)
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	if err := chromedp.Do(ctx, chromedp.Navigate(address)); err != nil {
		b.t.Fatalf("open %s: %v", address, err)
	}
}

// Until waits until an expression of JavaScript is true.
func (b *Browser) Until(expression string) {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	var last error
	for ctx.Err() == nil {
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if ok && err == nil {
			return
		}
		last = err
		select {
		case <-time.After(look):
		case <-ctx.Done():
		}
	}
	text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string](`location.href + "\n" + document.body.innerText`))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.t.Fatalf("not within %s: %s (%v); the page complains of %q, and is\n%s", patience, expression, last, b.bad, text)
}

// Text returns the text of the first element of a selector, waiting for one.
func (b *Browser) Text(selector string) string {
	b.t.Helper()
	b.Until(one(selector))
	return Eval[string](b, one(selector)+"?.innerText ?? ''")
}

// UntilText waits until an element of the selector has this in its text.
func (b *Browser) UntilText(selector, text string) {
	b.t.Helper()
	b.Until(fmt.Sprintf("[...document.querySelectorAll(%s)].some((x) => x.innerText.includes(%s))", strconv.Quote(selector), strconv.Quote(text)))
}

// Click clicks the first element of a selector, waiting for one.
func (b *Browser) Click(selector string) {
	b.t.Helper()
	b.Until(fmt.Sprintf("((x) => x && !x.disabled && (x.click(), true))(%s)", one(selector)))
}

// Fill writes into a field, as typing does.
func (b *Browser) Fill(selector, text string) {
	b.t.Helper()
	b.Until(fmt.Sprintf(`((x) => x && (x.value = %s, x.dispatchEvent(new Event("input", {bubbles: true})), x.dispatchEvent(new Event("change", {bubbles: true})), true))(%s)`, strconv.Quote(text), one(selector)))
}

// Key presses a key.
func (b *Browser) Key(key string) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.KeyEvent(key)); err != nil {
		b.t.Fatalf("press %q: %v", key, err)
	}
}

// Width makes the window so wide.
func (b *Browser) Width(pixels int64) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, chromedp.EmulateViewport(pixels, 900)); err != nil {
		b.t.Fatal(err)
	}
}

// Shoot writes pictures of the page, one light and one dark, if somebody wants
// them.
func (b *Browser) Shoot(name string) {
	b.t.Helper()
	dir := os.Getenv(shots)
	for _, scheme := range []string{"light", "dark"} {
		if err := chromedp.Do(b.ctx, media(scheme)); err != nil {
			b.t.Fatal(err)
		}
		b.Until(fmt.Sprintf(`matchMedia("(prefers-color-scheme: %s)").matches`, scheme))
		if dir == "" {
			continue
		}
		picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
		if err == nil {
			err = errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, name+"-"+scheme+".png"), picture, 0o644)) //nolint:gosec // for people
		}
		if err != nil {
			b.t.Fatalf("picture of %s: %v", name, err)
		}
	}
}

// Quiet fails the test if a page has complained of anything, but of what has one
// of these in it; what was said so far is then forgotten.
func (b *Browser) Quiet(but ...string) {
	b.t.Helper()
	for _, text := range b.complaints() {
		if !containsAny(text, but) {
			b.t.Errorf("the page complains: %s", text)
		}
	}
}

// Eval returns the value of an expression of JavaScript.
func Eval[T any](b *Browser, expression string) T {
	b.t.Helper()
	ctx, stop := context.WithTimeout(b.ctx, patience)
	defer stop()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// Private

func find() (string, error) {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no chromium")
}

func one(selector string) string { return "document.querySelector(" + strconv.Quote(selector) + ")" }

// complaints returns what was said since it was asked for last.
func (b *Browser) complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	bad := b.bad
	b.bad = nil
	return bad
}

// hear gathers what pages say that somebody should look at.
func (b *Browser) hear(said iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range said {
		if err != nil {
			return
		}
		switch kind := fmt.Sprint(m.Type); kind {
		case "log", "info", "debug", "verbose":
		default:
			b.mu.Lock()
			b.bad = append(b.bad, fmt.Sprintf("%s: %s (%s:%d)", kind, m.Text, m.URL, m.Line))
			b.mu.Unlock()
		}
	}
}

func media(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}},
		})
		return chromedp.Void{}, err
	}
}

func containsAny(text string, parts []string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}
