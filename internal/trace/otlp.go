package trace

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	defaultEndpoint = "http://localhost:4318"
	tracesPath      = "/v1/traces"
	defaultTimeout  = 10 * time.Second
	longestAnswer   = 64 << 10
)

// otlp uploads spans by OTLP over HTTP, in protobuf. The SDK's own client for that
// brings gRPC along, which makes an agent a sixth larger.
type otlp struct {
	url     string
	header  http.Header
	gzip    bool
	timeout time.Duration // of one try
	client  *http.Client
	gone    chan struct{} // closed: nobody waits for an upload any more
}

// newOTLP reads the standard variables. The error names the one that is wrong.
func newOTLP(cfg Config) (*otlp, error) {
	get := func(name string) (string, string) {
		for _, variable := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + name, "OTEL_EXPORTER_OTLP_" + name} {
			if value := strings.TrimSpace(cfg.Env(variable)); value != "" {
				return value, variable
			}
		}
		return "", "OTEL_EXPORTER_OTLP_" + name
	}
	if protocol, variable := get("PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return nil, fmt.Errorf("%s: is %q; traces go by http/protobuf, to a collector's port 4318", variable, protocol)
	}
	o := &otlp{timeout: defaultTimeout, gone: make(chan struct{}), header: http.Header{"Content-Type": {"application/x-protobuf"}}}
	var err error
	if o.url, err = endpoint(get("ENDPOINT")); err != nil {
		return nil, err
	}
	if err := o.setHeaders(get("HEADERS")); err != nil {
		return nil, err
	}
	if text, variable := get("TIMEOUT"); text != "" {
		ms, err := strconv.Atoi(text)
		if err != nil || ms <= 0 {
			return nil, fmt.Errorf("%s: is %q; use milliseconds, such as 10000", variable, text)
		}
		o.timeout = time.Duration(ms) * time.Millisecond
	}
	switch text, variable := get("COMPRESSION"); text {
	case "", "none":
	case "gzip":
		o.gzip = true
		o.header.Set("Content-Encoding", "gzip")
	default:
		return nil, fmt.Errorf("%s: is %q; use gzip or none", variable, text)
	}
	o.client = &http.Client{Transport: cfg.Transport}
	if cfg.Transport == nil {
		o.client.Transport, err = transport(get)
	}
	return o, err
}

// Start implements otlptrace.Client.
func (o *otlp) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (o *otlp) Stop(context.Context) error {
	o.client.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. It tries what a later try may bring
// about, until ctx ends, or abandon is called.
func (o *otlp) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans}) // the same bytes as an ExportTraceServiceRequest
	if err != nil {
		return backoff.Permanent(err)
	}
	if o.gzip {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		if _, err := w.Write(body); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		body = packed.Bytes()
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		select {
		case <-o.gone:
		case <-ctx.Done():
		}
	}()
	var last error
	_, err = backoff.Retry(ctx, func() (struct{}, error) {
		last = o.post(ctx, body)
		return struct{}{}, last
	}, backoff.WithMaxElapsedTime(0))
	if err != nil {
		return last // and not that the time was up
	}
	return nil
}

// abandon ends the upload under way, and all that follow.
func (o *otlp) abandon() { close(o.gone) }

// Private

func (o *otlp) post(ctx context.Context, body []byte) error {
	ctx, stop := context.WithTimeout(ctx, o.timeout)
	defer stop()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, o.url, bytes.NewReader(body))
	if err != nil {
		return backoff.Permanent(err)
	}
	request.Header = o.header.Clone()
	response, err := o.client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, longestAnswer)) // so that the connection is used again
	err = errors.Join(err, response.Body.Close())
	switch code := response.StatusCode; code {
	case http.StatusOK, http.StatusAccepted, http.StatusNoContent:
		return err
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds >= 0 {
			return backoff.RetryAfter(seconds)
		}
		return fmt.Errorf("the collector answers %s", response.Status)
	default:
		return backoff.Permanent(fmt.Errorf("the collector answers %s", response.Status))
	}
}

// endpoint returns where to post. The variable for traces alone names the whole
// URL, the other one what /v1/traces is added to.
func endpoint(text, variable string) (string, error) {
	if text == "" {
		text = defaultEndpoint
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fmt.Errorf("%s: is %q; use a URL such as %s", variable, text, defaultEndpoint)
	}
	switch {
	case !strings.Contains(variable, "TRACES"):
		u = u.JoinPath(tracesPath)
	case u.Path == "":
		u.Path = "/"
	}
	return u.String(), nil
}

// setHeaders reads "name=value,name=value", percent-encoded.
func (o *otlp) setHeaders(text, variable string) error {
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		plain, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); !ok || name == "" || err != nil {
			return fmt.Errorf("%s: has a part that is not name=value", variable) // its value may be a secret
		}
		o.header.Set(name, plain)
	}
	return nil
}

// transport makes connections as the variables on certificates say.
func transport(get func(string) (string, string)) (http.RoundTripper, error) {
	standard, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport, nil
	}
	t := standard.Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	if file, variable := get("CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", variable, err)
		}
		t.TLSClientConfig.RootCAs = x509.NewCertPool()
		if !t.TLSClientConfig.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: %s has no certificate", variable, file)
		}
	}
	certificate, variable := get("CLIENT_CERTIFICATE")
	key, _ := get("CLIENT_KEY")
	if certificate == "" {
		return t, nil
	}
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	t.TLSClientConfig.Certificates = []tls.Certificate{pair}
	return t, nil
}
