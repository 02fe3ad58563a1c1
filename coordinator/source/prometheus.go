package source

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/api"
	v1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
)

// queryTimeout bounds one query, on both sides.
const queryTimeout = 10 * time.Second

// ErrNoValue says that a query has no answer: no series, or none that is a
// number.
var ErrNoValue = errors.New("no value")

// Prometheus is a server that is asked instant queries.
type Prometheus struct {
	api     v1.API
	address string
}

// NewPrometheus returns the server at an address such as http://host:9090.
func NewPrometheus(address string) (*Prometheus, error) {
	client, err := api.NewClient(api.Config{Address: address, RoundTripper: &http.Transport{
		Proxy: http.ProxyFromEnvironment, ResponseHeaderTimeout: queryTimeout, MaxIdleConns: 2, IdleConnTimeout: time.Minute,
	}})
	if err != nil {
		return nil, fmt.Errorf("prometheus at %s: %w", address, err)
	}
	return &Prometheus{v1.NewAPI(client), address}, nil
}

// Ask returns the one number that a query answers: a scalar, or the value of a
// vector's only series. Several series are an error, since any of them could be
// meant; none, or one that is no number, is ErrNoValue.
func (p *Prometheus) Ask(ctx context.Context, query string) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	value, _, _, err := p.api.Query(ctx, query, time.Time{}, v1.WithTimeout(queryTimeout))
	if gone := unreached(p.address, err); gone != nil {
		return 0, gone
	}
	if err != nil {
		return 0, fmt.Errorf("query %q: %w", query, err)
	}
	x, err := number(value)
	if err != nil {
		return 0, fmt.Errorf("query %q: %w", query, err)
	}
	return x, nil
}

// Private

func number(value model.Value) (float64, error) {
	var x float64
	switch v := value.(type) {
	case *model.Scalar:
		x = float64(v.Value)
	case model.Vector:
		switch len(v) {
		case 0:
			return 0, ErrNoValue
		case 1:
			x = float64(v[0].Value)
		default:
			return 0, fmt.Errorf("it answers %d series; make one of them, for example by sum()", len(v))
		}
	default:
		return 0, fmt.Errorf("it answers a %s; ask for a scalar or an instant vector", value.Type())
	}
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, ErrNoValue
	}
	return x, nil
}
