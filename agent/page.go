package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/serin-rollouts/serin/internal/rollout"
)

const (
	mostPage   = 1 << 20  // bytes of a page of metrics
	mostSeries = 10_000   // lines of one that are asked for
	mostHeader = 64 << 10 // bytes of an answer's header
	mostBody   = 64 << 10 // bytes of an answer whose status is what counts
)

var (
	errPageSize = fmt.Errorf("the page has more than %d bytes", mostPage)
	errSeries   = fmt.Errorf("more than %d lines have the names that are asked for", mostSeries)
)

// Private

// ask sends a GET to a container. It follows no redirect, which may lead
// elsewhere, and takes nothing compressed, which may be large.
func (a *agent) ask(ctx context.Context, url string, take func(*http.Response) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "serin-agent")
	transport := &http.Transport{
		DialContext: a.cfg.Dial, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: mostHeader,
	}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return err
	}
	return errors.Join(take(resp), resp.Body.Close())
}

// page reads a page of metrics.
func (a *agent) page(ctx context.Context, url string) (body []byte, err error) {
	err = a.ask(ctx, url, func(resp *http.Response) error {
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("GET %s answers %s", resp.Request.URL.Path, resp.Status)
		}
		var err error
		body, err = io.ReadAll(io.LimitReader(resp.Body, mostPage+1))
		if err == nil && len(body) > mostPage {
			err = errPageSize
		}
		return err
	})
	return body, err
}

// samples is what a page says of the series that were asked for, by name.
type samples map[string]*dto.MetricFamily

// readPage reads the lines that have one of the names. Nothing else of the page
// is parsed: a page may be large, and what is made of it is larger still. Without
// their comments all lines are plain samples, those of histograms and summaries
// too.
func readPage(body []byte, wanted map[string]bool) (samples, error) {
	var kept bytes.Buffer
	lines := 0
	for line := range bytes.Lines(body) {
		name := bytes.TrimLeft(line, " \t")
		if end := bytes.IndexAny(name, "{ \t\n"); end >= 0 {
			name = name[:end]
		}
		if !wanted[string(name)] {
			continue
		}
		if lines++; lines > mostSeries {
			return nil, errSeries
		}
		kept.Write(bytes.TrimRight(line, "\r\n"))
		kept.WriteByte('\n')
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	return parser.TextToMetricFamilies(&kept)
}

// sum adds up all series that are selected. It reports false if there is none of
// that name at all, and how many there are.
func (s samples) sum(want rollout.Series) (sum float64, selected int, named bool) {
	family := s[want.Name]
	for _, m := range family.GetMetric() {
		labels := make(map[string]string, len(m.GetLabel()))
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if want.Matches(want.Name, labels) {
			selected++
			sum += m.GetUntyped().GetValue()
		}
	}
	return sum, selected, family != nil
}

// total is a counter: the sum of what is selected. Labels that were never
// counted are not on a page yet and count as 0, but a name that is not there is
// a mistake, or another program.
func (s samples) total(want rollout.Series) (int64, error) {
	sum, _, named := s.sum(want)
	if !named {
		return 0, fmt.Errorf("there is no %s", want.Name)
	}
	n, ok := counter(sum)
	if !ok {
		return 0, fmt.Errorf("%s is %v, which is no count", want.Name, sum)
	}
	return n, nil
}

// value is a reading; false if there is none that can be worked with.
func (s samples) value(want rollout.Series) (float64, bool) {
	sum, selected, _ := s.sum(want)
	return sum, selected > 0 && math.Abs(sum) <= mostValue // not NaN
}
