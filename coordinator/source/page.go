package source

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

// maxBody is how much of an answer is read.
const maxBody = 32 << 10

// Page is an answer over HTTP.
type Page struct {
	Status int
	Body   string // its first 32 KiB
	Took   time.Duration
}

// Get asks for a page once; no answer in the time given is an error. Redirects
// are not followed: they are answers, too.
func Get(ctx context.Context, url string, limit time.Duration) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return Page{}, fmt.Errorf("get %s: %w", url, err)
	}
	client := http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	began := time.Now()
	answer, err := client.Do(request)
	if err != nil {
		return Page{}, cmp.Or(unreached(url, err), err)
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if cerr := answer.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return Page{}, fmt.Errorf("get %s: %w", url, err)
	}
	return Page{Status: answer.StatusCode, Body: string(body), Took: time.Since(began)}, nil
}
