package readmetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
)

// TestMain lets this test program be the `nats` command of the README, which
// not every machine has: it is called by that name then.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "nats" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := natsCommand(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "nats: error:", err)
		os.Exit(1)
	}
}

// natsArgs is what the README uses of the grammar of the nats command line.
type natsArgs struct {
	verb    string
	header  nats.Header
	raw     bool
	all     bool   // from the beginning of the stream
	stream  string // read through JetStream
	timeout time.Duration
	rest    []string
}

func parseNATS(args []string) (natsArgs, error) {
	p := natsArgs{header: nats.Header{}, timeout: 5 * time.Second}
	value := func(i int) (string, error) {
		if i+1 >= len(args) {
			return "", fmt.Errorf("expected argument for flag %q", args[i])
		}
		return args[i+1], nil
	}
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--raw":
			p.raw = true
		case arg == "--all":
			p.all = true
		case arg == "-H" || arg == "--stream" || arg == "--timeout":
			text, err := value(i)
			if err != nil {
				return p, err
			}
			i++
			if err := p.flag(arg, text); err != nil {
				return p, err
			}
		case strings.HasPrefix(arg, "-"):
			return p, fmt.Errorf("unknown flag %q", arg)
		case p.verb == "":
			p.verb = arg
		default:
			p.rest = append(p.rest, arg)
		}
	}
	return p, nil
}

func (p *natsArgs) flag(name, text string) (err error) {
	switch name {
	case "--stream":
		p.stream = text
	case "--timeout":
		p.timeout, err = time.ParseDuration(text)
	default:
		key, value, _ := strings.Cut(text, ":")
		p.header.Add(key, strings.TrimSpace(value))
	}
	return err
}

func natsCommand(ctx context.Context, args []string) error {
	p, err := parseNATS(args)
	if err != nil {
		return err
	}
	var options []nats.Option
	if ca := os.Getenv("NATS_CA"); ca != "" {
		options = append(options, nats.RootCAs(ca), nats.ClientCert(os.Getenv("NATS_CERT"), os.Getenv("NATS_KEY")))
	}
	conn, err := nats.Connect(os.Getenv("NATS_URL"), options...)
	if err != nil {
		return err
	}
	defer conn.Close()
	switch {
	case p.verb == "pub" && len(p.rest) == 2:
		return publish(conn, p)
	case p.verb == "req" && len(p.rest) == 2:
		return request(ctx, conn, p)
	case p.verb == "sub" && len(p.rest) == 1:
		return subscribe(ctx, conn, p)
	case p.verb == "micro" && len(p.rest) == 1 && p.rest[0] == "ls":
		return listServices(conn)
	}
	return fmt.Errorf("%q is not one of: pub SUBJECT BODY, req SUBJECT BODY, sub SUBJECT, micro ls", args)
}

func publish(conn *nats.Conn, p natsArgs) error {
	err := conn.PublishMsg(&nats.Msg{Subject: p.rest[0], Header: p.header, Data: []byte(p.rest[1])})
	if err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return err
	}
	_, err = fmt.Printf("00:00:00 Published %d bytes to %q\n", len(p.rest[1]), p.rest[0])
	return err
}

func request(ctx context.Context, conn *nats.Conn, p natsArgs) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	answer, err := conn.RequestMsgWithContext(ctx, &nats.Msg{Subject: p.rest[0], Header: p.header, Data: []byte(p.rest[1])})
	if err != nil {
		return err
	}
	return show(p, answer.Subject, answer.Data)
}

func show(p natsArgs, subject string, data []byte) error {
	if !p.raw {
		fmt.Printf("[#1] Received on %q\n", subject)
	}
	_, err := fmt.Printf("%s\n", data)
	return err
}

func subscribe(ctx context.Context, conn *nats.Conn, p natsArgs) error {
	if p.stream == "" {
		_, err := conn.Subscribe(p.rest[0], func(m *nats.Msg) { _ = show(p, m.Subject, m.Data) })
		if err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	policy := jetstream.DeliverNewPolicy
	if p.all {
		policy = jetstream.DeliverAllPolicy
	}
	consumer, err := js.OrderedConsumer(ctx, p.stream, jetstream.OrderedConsumerConfig{FilterSubjects: p.rest, DeliverPolicy: policy})
	if err != nil {
		return err
	}
	messages, err := consumer.Consume(func(m jetstream.Msg) { _ = show(p, m.Subject(), m.Data()) })
	if err != nil {
		return err
	}
	defer messages.Stop()
	<-ctx.Done()
	return nil
}

// listServices asks as `nats micro ls` does: everybody answers.
func listServices(conn *nats.Conn) error {
	inbox := conn.NewRespInbox()
	sub, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	if err := conn.PublishRequest("$SRV.INFO", inbox, nil); err != nil {
		return err
	}
	for {
		m, err := sub.NextMsg(time.Second)
		if errors.Is(err, nats.ErrTimeout) {
			return nil
		}
		if err != nil {
			return err
		}
		var info micro.Info
		if err := json.Unmarshal(m.Data, &info); err != nil {
			return err
		}
		fmt.Printf("│ %s │ %s │ %s │ %s │\n", info.Name, info.Version, info.ID, info.Description)
	}
}
